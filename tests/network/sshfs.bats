#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A store on sshfs, through pipes to an sftp-server, and by ssh to an sshd.

load ../lib/helpers
load ../lib/shims
load ../lib/network
load engines
load ../lib/network_cases

@test "sshfs: every view is right" { every_view_is_right sshfs; }
@test "sshfs: every view is right, 10 ms each way" { every_view_is_right sshfs 10; }
@test "sshfs: a step that another machine wrote shows" { new_step_shows sshfs; }
@test "sshfs: files that are replaced under readers" { no_mixed_bytes sshfs; }
@test "sshfs: each door publishes" { every_door_publishes sshfs; }
@test "sshfs: the daemon is killed" { killed sshfs "$MOMENTS"; }
@test "sshfs: two clients publish one draft at once" { two_publish_at_once sshfs; }
@test "sshfs: nothing says that one machine alone should write" { says_one_machine sshfs 0; }
@test "sshfs: the server stops, and goes on" { severed sshfs stop "$MOMENTS"; }
@test "sshfs: the server is killed, and comes back" { severed sshfs kill "$MOMENTS"; }
@test "sshfs: a storm" { storm sshfs; }
@test "sshfs, nothing cached: a storm" { storm sshfs -o direct_io,dir_cache=no,attr_timeout=0,entry_timeout=0; }
@test "sshfs by ssh: every view is right" { every_view_is_right sshd; }
@test "sshfs by ssh: every view is right, 10 ms each way" { every_view_is_right sshd 10; }
@test "sshfs by ssh: a step that another machine wrote shows" { new_step_shows sshd; }
@test "sshfs by ssh: files that are replaced under readers" { no_mixed_bytes sshd; }
@test "sshfs by ssh: each door publishes" { every_door_publishes sshd; }
@test "sshfs by ssh: the daemon is killed" { killed sshd "$MOMENTS"; }
@test "sshfs by ssh: two clients publish one draft at once" { two_publish_at_once sshd; }
@test "sshfs by ssh: the server stops, and goes on" { severed sshd stop "$MOMENTS"; }
@test "sshfs by ssh: the server is killed, and comes back" { severed sshd kill "$MOMENTS"; }
@test "sshfs by ssh: a storm" { storm sshd; }
