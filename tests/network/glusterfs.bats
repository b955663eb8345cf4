#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154
# A store on a GlusterFS volume of two bricks that hold the same.

load ../lib/helpers
load ../lib/shims
load ../lib/network
load engines
load ../lib/network_cases

@test "GlusterFS: every view is right" { every_view_is_right glusterfs; }
@test "GlusterFS: every view is right, 10 ms each way" { every_view_is_right glusterfs 10; }
@test "GlusterFS: a step that another machine wrote shows" { new_step_shows glusterfs; }
@test "GlusterFS: files that are replaced under readers" { no_mixed_bytes glusterfs; }
@test "GlusterFS: each door publishes" { every_door_publishes glusterfs; }
@test "GlusterFS: the daemon is killed" { killed glusterfs "$MOMENTS"; }
@test "GlusterFS: two clients publish one draft at once" { two_publish_at_once glusterfs; }
@test "GlusterFS: a brick stops, and goes on" { severed glusterfs "stop 0" "$MOMENTS"; }
@test "GlusterFS: a brick is killed, and comes back" { severed glusterfs "kill 0" "$MOMENTS"; }
@test "GlusterFS: the other brick is killed, and comes back" { severed glusterfs "kill 1" "$MOMENTS"; }
@test "GlusterFS: both bricks stop, and go on" { severed glusterfs stop "$MOMENTS"; }
@test "GlusterFS: both bricks are killed, and come back" { severed glusterfs kill "$MOMENTS"; }
@test "GlusterFS: a storm" { storm glusterfs; }
