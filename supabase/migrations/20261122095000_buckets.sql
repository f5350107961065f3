-- Buckets of Supabase Storage (SPEC "Files"), and who of the team may read in them with their own token. Only where the
-- storage's own tables stand: a bare server and the embedded one have none, and nothing is done there.
--
-- The limits are those of core/storage/supabase.py (`make_buckets`); a test holds them equal. A bucket that stands is left
-- as it is, and no policy of the platform's is touched: policies only ever add. Nobody writes objects with their own token:
-- the studio does, with the project's secret key, after its own checks.
--
-- A login that may not do a part of this leaves that part out with a warning: buckets are then made over HTTP by
-- `python -m core migrate`, and without the policies nobody sees more (docs/supabase.md, step 5).

do $$
declare
  new_policy record;
begin
  if (select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'storage' and c.relname in ('buckets', 'objects')) < 2 then
    return;
  end if;

  begin
    insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
    select one, one, one = 'assets', 41943040, array['image/png', 'image/jpeg', 'image/webp', 'image/avif']
    from unnest(array['workspace-temp', 'user-library', 'reference_images', 'attribute-originals', 'assets']) one
    on conflict do nothing;
  exception when insufficient_privilege then
    raise warning 'The buckets are left to `python -m core migrate`: this login may not write storage.buckets.';
  end;

  for new_policy in
    select * from (values
      ('studio_owner_reads_own_folder',
       $rule$ (select studio.has_role('editor', 'qa', 'product', 'admin'))
          and bucket_id in ('workspace-temp', 'user-library', 'reference_images')
          and (storage.foldername(name))[1] = (select auth.uid())::text $rule$),
      ('studio_team_reads_pictures',
       $rule$ (select studio.has_role('qa', 'product', 'admin'))
          and bucket_id in ('workspace-temp', 'user-library', 'reference_images') $rule$),
      ('studio_team_reads_attribute_images',
       $rule$ (select studio.has_role('editor', 'qa', 'product', 'admin'))
          and bucket_id in ('attribute-originals', 'assets') $rule$)
    ) as wanted (name, rule)
    where not exists (
      select from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'storage' and c.relname = 'objects' and p.polname = wanted.name
    )
  loop
    begin
      execute format('create policy %I on storage.objects for select to authenticated using (%s)',
                     new_policy.name, new_policy.rule);
    exception when insufficient_privilege then
      raise warning 'The policy % on storage.objects is left out: this login may not make it.', new_policy.name;
    end;
  end loop;
end $$;
