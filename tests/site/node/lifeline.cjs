'use strict';
// Loaded before the Showdown server: the server lives as long as the process that started it holds its stdin open.
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdin.resume();
