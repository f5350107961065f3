-- What finding jobs among a million, and reading the audit events, need.

create index if not exists jobs_by_user on public.jobs (user_id, created_at desc, id desc);

-- Whether this person reads across users is asked once a statement, as for public.jobs (20261120091000).
create policy team_reads_names on public.characters for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
create policy team_reads_spend on studio.cost_entries for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
create policy team_reads_events on studio.audit_events for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));

create index if not exists audit_events_by_row on studio.audit_events (table_name, row_id, at desc, id desc);
create index if not exists audit_events_by_person on studio.audit_events (who, at desc, id desc);
create index if not exists audit_events_by_action on studio.audit_events (action, at desc, id desc);

-- A job's part in bulk actions (20261120250000).
create index if not exists bulk_items_by_row on studio.bulk_items (item_id);

-- Characters whose name begins so, in any case: row-level security would hide the index from whoever asks, because
-- no comparison of names is leakproof.
create index if not exists characters_by_plain_name on public.characters (studio.plain_name(name) text_pattern_ops);

create function studio.characters_named(p_beginning text, p_limit integer) returns table (id uuid, name text)
language plpgsql stable security definer set search_path = '' as $$
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  return query
    select c.id, c.name::text from public.characters c
    where studio.plain_name(c.name) operator(pg_catalog.~>=~) studio.plain_name(p_beginning)
      and studio.plain_name(c.name) operator(pg_catalog.~<~) (studio.plain_name(p_beginning) || chr(1114111))
      and studio.may_read(c.user_id)
    order by studio.plain_name(c.name) using operator(pg_catalog.~<~), c.created_at desc, c.id
    limit least(greatest(p_limit, 0), 200);
end $$;
revoke execute on function studio.characters_named(text, integer) from public;
grant execute on function studio.characters_named(text, integer) to authenticated;
