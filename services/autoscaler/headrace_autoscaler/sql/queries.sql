-- Every query of the autoscaler, by name. A query ends where the next one begins.

-- name: origin
select incarnation, create_time from store;
