-- Who has a character open: told to every page that may see it, and stored nowhere (decision 0023). Runs with the
-- caller's own rights; what one may not read, one can tell nobody about.

create function studio.tell_presence(p_page uuid, p_character uuid, p_op text, p_name text) returns boolean
language plpgsql set search_path = '' as $$
declare
  owner uuid := studio.owner_of(p_character);
begin
  if owner is null or not studio.may_read(owner) or p_op not in ('arrived', 'here', 'left') then
    return false;
  end if;
  perform pg_notify('studio_events', jsonb_build_object(
    'table', 'presence', 'op', p_op, 'character_id', p_character, 'owner', owner, 'page', p_page, 'who', auth.uid(),
    'name', left(p_name, 80))::text);
  return true;
end $$;
revoke execute on function studio.tell_presence(uuid, uuid, text, text) from public;
grant execute on function studio.tell_presence(uuid, uuid, text, text) to authenticated;
