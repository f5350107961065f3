-- Row-level security on every table. The platform's policies stay (or are made, on a database of our own); ours are
-- added and begin with a role, because a customer of the platform is not an editor (SPEC "Data").

do $$
declare
  wanted record;
  bare text[] := array(
    select t.tablename::text from pg_tables t where t.schemaname = 'public' and not exists (
      select from pg_policies p where p.schemaname = 'public' and p.tablename = t.tablename));
begin
  for wanted in
    select * from (values
      ('characters', 'own_characters', 'for all to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid())'),
      ('characters', 'public_characters', 'for select to anon, authenticated using (is_public)'),
      ('character_portraits', 'own_portraits', 'for all to authenticated using (exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid())) with check (exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid()))'),
      ('character_scenes', 'own_scenes', 'for all to authenticated using (exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid())) with check (exists (select 1 from public.characters c where c.id = character_id and c.user_id = auth.uid()))'),
      ('jobs', 'own_jobs', 'for all to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid())'),
      ('workspace_assets', 'own_assets', 'for all to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid())'),
      ('user_library', 'own_library', 'for all to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid())'),
      ('api_models', 'read_models', 'for select to authenticated using (is_active)'),
      ('api_providers', 'read_providers', 'for select to authenticated using (true)'),
      ('attribute_images', 'read_attributes', 'for select to anon, authenticated using (true)'),
      ('style_images', 'read_styles', 'for select to anon, authenticated using (true)')
    ) as listed (table_name, policy, body)
  loop
    execute format('alter table public.%I enable row level security', wanted.table_name);
    if wanted.table_name = any (bare) then
      execute format('create policy %I on public.%I %s', wanted.policy, wanted.table_name, wanted.body);
    end if;
  end loop;
end $$;

-- service_role passes, as on Supabase, where it bypasses row-level security anyway.
do $$
declare
  name text;
begin
  foreach name in array array['characters', 'character_portraits', 'character_scenes', 'jobs', 'workspace_assets',
    'user_library', 'api_models', 'api_providers', 'attribute_images', 'style_images'] loop
    execute format('create policy studio_service on public.%I for all to service_role using (true) with check (true)', name);
  end loop;
  foreach name in array array['settings', 'findings', 'audit_events', 'submissions', 'job_events', 'workers',
    'provider_state', 'model_prices', 'cost_entries', 'budgets', 'removed_portraits'] loop
    execute format('create policy studio_service on studio.%I for all to service_role using (true) with check (true)', name);
  end loop;
end $$;

create policy studio_reads on public.characters for select to authenticated using (studio.may_read(user_id));
create policy studio_changes on public.characters for update to authenticated
  using (studio.may_change(user_id)) with check (studio.may_change(user_id));

-- Rows that hang on a character. A definer function asks for its owner, because the character's own policies
-- would also let public ones of strangers through.
create function studio.owner_of(p_character uuid) returns uuid
language sql stable security definer set search_path = '' as $$
  select c.user_id from public.characters c where c.id = p_character
$$;
revoke execute on function studio.owner_of(uuid) from public;
grant execute on function studio.owner_of(uuid) to authenticated;

create policy studio_reads on public.character_portraits for select to authenticated
  using (studio.may_read(studio.owner_of(character_id)));
create policy studio_changes on public.character_portraits for update to authenticated
  using (studio.may_change(studio.owner_of(character_id)))
  with check (studio.may_change(studio.owner_of(character_id)));
create policy studio_reads on public.character_scenes for select to authenticated
  using (studio.may_read(studio.owner_of(character_id)));
create policy studio_changes on public.character_scenes for all to authenticated
  using (studio.may_change(studio.owner_of(character_id)))
  with check (studio.may_change(studio.owner_of(character_id)));

create policy studio_reads on public.jobs for select to authenticated using (studio.may_read(user_id));
create policy studio_reads on public.workspace_assets for select to authenticated using (studio.may_read(user_id));
create policy studio_reads on public.user_library for select to authenticated using (studio.may_read(user_id));
create policy studio_changes on public.user_library for update to authenticated
  using (studio.may_change(user_id)) with check (studio.may_change(user_id));
create policy studio_reads on public.api_models for select to authenticated
  using (studio.has_role('editor', 'qa', 'product', 'admin'));

-- The studio's own tables: read by those whom they concern, written by definer functions only.
create function studio.may_read_job(job uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select studio.has_role('qa', 'product', 'admin')
      or exists (select from public.jobs j where j.id = job and studio.may_read(j.user_id))
$$;
revoke execute on function studio.may_read_job(uuid) from public;
grant execute on function studio.may_read_job(uuid) to authenticated;

create policy reads on studio.job_events for select to authenticated using (studio.may_read_job(job_id));
create policy reads on studio.submissions for select to authenticated using (studio.may_read_job(job_id));
create policy reads on studio.cost_entries for select to authenticated
  using (studio.has_role('qa', 'product', 'admin') or studio.may_read(user_id));
create policy reads on studio.workers for select to authenticated
  using (studio.has_role('editor', 'qa', 'product', 'admin'));
create policy reads on studio.provider_state for select to authenticated
  using (studio.has_role('editor', 'qa', 'product', 'admin'));
create policy reads on studio.model_prices for select to authenticated
  using (studio.has_role('editor', 'qa', 'product', 'admin'));
create policy reads on studio.budgets for select to authenticated
  using (studio.has_role('qa', 'product', 'admin') or user_id = auth.uid());

grant select on studio.job_events, studio.cost_entries, studio.workers, studio.provider_state, studio.model_prices,
  studio.budgets, studio.spend to authenticated;
-- A receipt may hold addresses that are secrets: everything but it.
grant select (id, job_id, attempt, lease, provider, model_id, model_key, submitted_at, request_id, received_at,
  result_expires_at, outcome, settled_at, settled_by) on studio.submissions to authenticated;
