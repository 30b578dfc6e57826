package main

import (
	"slices"
	"testing"
)

func TestEveryProgramAnswersToTheNameItIsCalledBy(t *testing.T) {
	for _, name := range names() {
		if name == "kubectl" {
			continue // kubectl takes its name from how it was called.
		}
		if got := programs[name]().Name(); got != name {
			t.Errorf("called as %q the program names itself %q", name, got)
		}
	}
	if !slices.IsSorted(names()) {
		t.Error("the list of names is not sorted")
	}
}
