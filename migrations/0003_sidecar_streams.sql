-- A sidecar that changes its replica has a stream at both until the old one is noticed to be gone: each replica
-- writes what it knows, and readers take the newest stream.
alter table sidecar drop constraint sidecar_pkey, add primary key (node, replica);
