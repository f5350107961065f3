-- only without supabase
-- What every Supabase project has and our schema leans on: three roles, schema auth, users, uid(), jwt().
-- Roles belong to the cluster, so another database may be making them at this moment: that is no error.

do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin noinherit', wanted);
      exception when duplicate_object or unique_violation or internal_error then null;
      end;
    end if;
    begin
      execute format('grant %I to current_user', wanted);
    exception
      when duplicate_object or unique_violation or internal_error then null;
      when insufficient_privilege then
        if not pg_has_role(current_user, wanted, 'member') then
          raise;
        end if;
    end;
  end loop;
end $$;

create schema if not exists auth;

create table if not exists auth.users (
  id uuid primary key default gen_random_uuid(),
  email text unique,
  raw_app_meta_data jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create or replace function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb
$$;

create or replace function auth.uid() returns uuid language sql stable as $$
  select nullif(auth.jwt() ->> 'sub', '')::uuid
$$;

grant usage on schema auth to anon, authenticated, service_role;
grant execute on function auth.jwt(), auth.uid() to anon, authenticated, service_role;
