-- What adopting a platform's database took over, corrected and found (SPEC "Adoption"; decision 0030). `python -m core
-- migrate` makes the table before its first file where it adopts, because it tells of what was there before.

create table if not exists studio.adoptions (
  id bigint generated always as identity primary key,
  began_at timestamptz not null default now(),
  ended_at timestamptz,
  rows_before jsonb not null,
  corrections jsonb not null default '{}',
  found jsonb not null default '{}'
);
comment on table studio.adoptions is 'one row where this database was the platform''s before it was ours too';
comment on column studio.adoptions.ended_at is 'null: the adoption stopped on its way, and the next migrate goes on';
comment on column studio.adoptions.rows_before is 'rows of each of the platform''s tables when it began: {"jobs": 1000, …}';
comment on column studio.adoptions.corrections is 'rows of the platform that were changed: {"second_primaries": 2}';
comment on column studio.adoptions.found is 'open findings by rule when it ended: {"character.long_name": 12, …}';

alter table studio.adoptions enable row level security;
grant select on studio.adoptions to authenticated;
grant all on studio.adoptions to service_role;
create policy reads on studio.adoptions for select to authenticated
  using (studio.has_role('qa', 'product', 'admin'));
create policy studio_service on studio.adoptions for all to service_role using (true) with check (true);
