#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A store on NFS, by Ganesha: where the kernel has the client.

load ../lib/helpers
load ../lib/shims
load ../lib/network
load engines
load ../lib/network_cases

@test "NFS: every view is right" { every_view_is_right nfs; }
@test "NFS: every view is right, 10 ms each way" { every_view_is_right nfs 10; }
@test "NFS: a step that another machine wrote shows" { new_step_shows nfs; }
@test "NFS: files that are replaced under readers" { no_mixed_bytes nfs; }
@test "NFS: each door publishes" { every_door_publishes nfs; }
@test "NFS: the daemon is killed" { killed nfs "$MOMENTS"; }
@test "NFS: two clients publish one draft at once" { two_publish_at_once nfs; }
@test "NFS: the server stops, and goes on" { severed nfs stop "$MOMENTS"; }
@test "NFS: the server is killed, and comes back" { severed nfs kill "$MOMENTS"; }
@test "NFS: a storm" { storm nfs; }
