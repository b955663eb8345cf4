#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Stores behind a network, by real programs: the engines that start within a second. `make test-network` has the others, and more cases: tests/network.

load ../lib/helpers
load ../lib/shims
load ../lib/network
load ../lib/network_cases

@test "sshfs, 2 ms each way: every view is right" { every_view_is_right sshfs 2; }
@test "sshfs: a step that another machine wrote shows" { new_step_shows sshfs; }
@test "sshfs: each door publishes" { every_door_publishes sshfs; }
@test "rclone: every view is right" { every_view_is_right rclone-webdav; }
@test "rclone with its cache of files: a step that another machine wrote shows" { new_step_shows rclone-webdav-full; }
