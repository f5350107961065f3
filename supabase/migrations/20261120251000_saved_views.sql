-- Views of the dashboard that people keep under a name: a page and the rest of its address, which holds everything.

create table studio.saved_views (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  name text not null check (char_length(name) between 1 and 60),
  page text not null check (page ~ '^[a-z_]{1,40}$'),
  address text not null default '' check (char_length(address) <= 2000),
  shared boolean not null default false,
  created_at timestamptz not null default now(),
  changed_at timestamptz not null default now()
);
comment on column studio.saved_views.address is 'the page''s query string, without the question mark';
create unique index saved_views_by_name on studio.saved_views (owner, page, lower(name));
create index saved_views_shared on studio.saved_views (page) where shared;

alter table studio.saved_views enable row level security;
create policy reads on studio.saved_views for select to authenticated using (
  (select studio.has_role('editor', 'qa', 'product', 'admin')) and (owner = (select auth.uid()) or shared));
create policy studio_service on studio.saved_views for all to service_role using (true) with check (true);
grant select on studio.saved_views to authenticated;
grant all on studio.saved_views to service_role;

create function studio.refuse_viewer() returns void language plpgsql stable set search_path = '' as $$
begin
  if auth.uid() is null or not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'Keeping a view needs a role in the studio. Ask an admin for one.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;
revoke execute on function studio.refuse_viewer() from public;
grant execute on function studio.refuse_viewer() to authenticated;

-- Keeps a view; under a name the person has on that page already, it takes that one's place.
create function studio.save_view(p_page text, p_name text, p_address text, p_shared boolean)
returns table (id uuid, replaced boolean)
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  standing studio.saved_views;
  kept studio.saved_views;
begin
  perform studio.refuse_viewer();
  perform pg_advisory_xact_lock(hashtextextended('views:' || me::text, 0));
  select * into standing from studio.saved_views v
  where v.owner = me and v.page = p_page and lower(v.name) = lower(p_name);
  if standing.id is null and (select count(*) from studio.saved_views v where v.owner = me) >= 200 then
    raise exception 'You keep 200 views, which is as many as one person may. Delete one first.'
      using errcode = 'PS429', detail = 'TOO_MANY';
  end if;
  insert into studio.saved_views as v (id, owner, name, page, address, shared)
  values (coalesce(standing.id, gen_random_uuid()), me, p_name, p_page, p_address, p_shared)
  on conflict on constraint saved_views_pkey do update
    set name = excluded.name, address = excluded.address, shared = excluded.shared, changed_at = now()
  returning v.* into kept;
  perform studio.note_audit('view_saved', 'saved_views', kept.id::text,
    case when standing.id is not null then jsonb_build_object('shared', standing.shared) end,
    jsonb_build_object('page', kept.page, 'shared', kept.shared));
  return query select kept.id, standing.id is not null;
end $$;
revoke execute on function studio.save_view(text, text, text, boolean) from public;
grant execute on function studio.save_view(text, text, text, boolean) to authenticated;

-- A view of one's own gets another name, or is shared, or is kept to oneself again.
create function studio.change_view(p_view uuid, p_name text, p_shared boolean) returns void
language plpgsql security definer set search_path = '' as $$
declare
  standing studio.saved_views;
begin
  perform studio.refuse_viewer();
  select * into standing from studio.saved_views v where v.id = p_view and v.owner = auth.uid() for update;
  if standing.id is null then
    raise exception 'This view is not there any more, or it is not yours: only its owner changes it.'
      using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  update studio.saved_views v set name = p_name, shared = p_shared, changed_at = now() where v.id = p_view;
  perform studio.note_audit('view_changed', 'saved_views', p_view::text,
    jsonb_build_object('shared', standing.shared, 'renamed', false),
    jsonb_build_object('shared', p_shared, 'renamed', standing.name <> p_name));
end $$;
revoke execute on function studio.change_view(uuid, text, boolean) from public;
grant execute on function studio.change_view(uuid, text, boolean) to authenticated;

create function studio.remove_view(p_view uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  gone studio.saved_views;
begin
  perform studio.refuse_viewer();
  delete from studio.saved_views v where v.id = p_view and v.owner = auth.uid() returning v.* into gone;
  if gone.id is null then
    raise exception 'This view is not there any more, or it is not yours: only its owner deletes it.'
      using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.note_audit('view_removed', 'saved_views', p_view::text,
    jsonb_build_object('page', gone.page, 'shared', gone.shared));
end $$;
revoke execute on function studio.remove_view(uuid) from public;
grant execute on function studio.remove_view(uuid) to authenticated;
