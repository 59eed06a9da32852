-- Rewritten, whole and only while writes are refused, by the replica that asks whether the database takes them again.
create unlogged table write_probe (filler text not null);
alter table write_probe alter column filler set storage plain;
