//! Pokemon Showdown: its recipe and its battle log.
