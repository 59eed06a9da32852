-- What the owner of a role says of its work, so that every replica can tell; null until it has said something.
alter table role add column report jsonb;
