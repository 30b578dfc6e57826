{{/*
What the operator does in a namespace with fleets, and nothing else. It makes no ConfigMaps, Services or workloads
other than Pods, and reads no Secrets but by name: without `list` and `watch` there is no way to ask which there are.
*/}}
{{- define "scrapefleet.fleetRules" -}}
# Reads what is wanted. `patch`: the finalizer that lets a deleted fleet drain before it is gone.
- apiGroups: [scrapefleet.io]
  resources: [scrapefleets]
  verbs: [list, watch, patch]
# Says what is so: phase, counts, conditions.
- apiGroups: [scrapefleet.io]
  resources: [scrapefleets/status]
  verbs: [patch]
# Makes a fleet the owner that its pods must not outlive; the API server asks for this right where it guards owners.
- apiGroups: [scrapefleet.io]
  resources: [scrapefleets/finalizers]
  verbs: [update]
# The watchers and bots of fleets, owned without a workload between: the operator picks which one is drained or replaced.
# `patch`: the share of the fleet's budget, which a pod reads from its annotation.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, patch, delete]
# Tells what it did, where `kubectl describe` shows it. `patch`: counts one that happens again.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/*
The credentials of a broker, to read the depth of its queues. A role cannot say "those that a fleet names": narrow it
by `rbac.secrets.names`, by `rbac.secrets.namespaces`, or by `watchNamespace`.
*/}}
{{- define "scrapefleet.secretRule" -}}
# The credentials of brokers, to read the depth of their queues; only by name, never a list.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
  {{- with .Values.rbac.secrets.names }}
  resourceNames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
