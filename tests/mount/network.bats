#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# Stores behind a network, by real programs: the engines that start within a second. `make test-network` has the others, and more cases: tests/network.

load ../lib/helpers
load ../lib/shims
load ../lib/network
load ../lib/network_cases

@test "sshfs, 2 ms each way: every view is right" { every_view_is_right sshfs 2; }
@test "sshfs: a step that another machine wrote shows" { new_step_shows sshfs; }
@test "sshfs: a model is loaded once, also when the client forgets its inode numbers" { loaded_once sshfs; }
@test "sshfs: each door publishes" { every_door_publishes sshfs; }
@test "sshfs: the daemon is killed" { killed sshfs 4 ByMeta Shard; }
@test "sshfs: two clients publish one draft at once" { CKPTFS_ROUNDS=4 two_publish_at_once sshfs; }
@test "rclone: every view is right" { every_view_is_right rclone-webdav; }
@test "rclone with its cache of files: a step that another machine wrote shows" { new_step_shows rclone-webdav-full; }
@test "rclone as it is by default is mounted read-only, and the log says why" { is_read_only rclone-webdav; }
@test "sshfs: a rename that must replace nothing, where the store has none" { mv_n_replaces_nothing sshfs; }
