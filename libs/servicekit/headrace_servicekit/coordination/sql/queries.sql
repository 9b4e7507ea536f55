-- Every query of the leases, by name.

-- name: acquire
-- Nothing while somebody else leads.
insert into leader_leases (name, holder, fence, until_time) values ($1, $2, 1, clock_timestamp() + $3::interval)
on conflict (name) do update
    set holder = $2, fence = leader_leases.fence + 1, until_time = clock_timestamp() + $3::interval
    where leader_leases.until_time <= clock_timestamp() or leader_leases.holder = $2
returning fence;

-- name: renew
update leader_leases set until_time = clock_timestamp() + $4::interval where (name, holder, fence) = ($1, $2, $3)
returning fence;

-- name: release
update leader_leases set until_time = clock_timestamp() where (name, holder, fence) = ($1, $2, $3);

-- name: check_fence
-- Nobody else begins to lead before this transaction ends.
select fence from leader_leases where (name, holder, fence) = ($1, $2, $3) for key share;
