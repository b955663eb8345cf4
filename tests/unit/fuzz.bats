#!/usr/bin/env bats
# shellcheck disable=SC2153,SC2154
# The corpus of the fuzz targets, findings among it, given once to each: no crash, and every property holds.

load ../lib/helpers

replay() {
	local program=$BUILD/fuzz/$1 corpus=$REPO/tests/fuzz/corpus/$1
	run "$program" "$corpus"/*
	[[ $status -eq 0 ]] || { echo "${output: -2000}"; return 1; }
	[[ ${#lines[@]} -eq $(find "$corpus" -type f | wc -l) ]]
}

@test "the corpus of pickles" { replay pickle; }
@test "the corpus of zips" { replay zip; }
@test "the corpus of whole checkpoints" { replay pt; }
@test "the corpus of .npy headers" { replay npy; }
@test "the corpus of safetensors headers" { replay safetensors; }
@test "the corpus of outlines" { replay outline; }
@test "the corpus of metadata" { replay meta; }
@test "the corpus of trees for the writers" { replay write; }
@test "the corpus of shards that are joined" { replay join; }
