-- QA samples (SPEC "Audit"): portraits drawn by chance from each provider, style and week, judged by people who do not
-- see each other's verdicts until they have given their own. What was drawn is frozen: the seed, the strata, the ids.

create table studio.qa_samples (
  id uuid primary key,
  title text not null check (length(title) between 1 and 80),
  seed bigint not null,
  since timestamptz not null,
  until timestamptz not null,
  per_stratum integer not null,
  size integer not null,
  strata jsonb not null,
  drawn_by uuid not null,
  drawn_at timestamptz not null default now(),
  closed_at timestamptz,
  closed_by uuid,
  check (since < until)
);
comment on column studio.qa_samples.strata is
  'as drawn: a list of {provider, style, week, population, taken}; week is the Monday, UTC';

create table studio.qa_sample_items (
  sample_id uuid not null references studio.qa_samples (id),
  place integer not null,
  portrait_id uuid not null,
  character_id uuid not null,
  job_id uuid,
  provider text not null,
  style text not null,
  week date not null,
  primary key (sample_id, portrait_id),
  unique (sample_id, place)
);
comment on column studio.qa_sample_items.place is 'the order in which they are shown: by chance too';

create table studio.qa_verdicts (
  sample_id uuid not null,
  portrait_id uuid not null,
  person uuid not null,
  verdict text not null check (verdict in ('good', 'acceptable', 'bad', 'not_character', 'policy')),
  first_verdict text not null check (first_verdict in ('good', 'acceptable', 'bad', 'not_character', 'policy')),
  note text check (length(note) <= 500),
  given_at timestamptz not null default now(),
  changed_at timestamptz,
  primary key (sample_id, portrait_id, person),
  foreign key (sample_id, portrait_id) references studio.qa_sample_items (sample_id, portrait_id)
);
comment on column studio.qa_verdicts.first_verdict is
  'what was said before others'' verdicts could be seen: agreement rests on it';
create index qa_verdicts_of_portrait on studio.qa_verdicts (portrait_id) where verdict = 'policy';

-- True where this person may see what others said: their own verdict is given, or the sample is closed.
create function studio.may_see_verdicts(p_sample uuid, p_portrait uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select studio.has_role('qa', 'product', 'admin') and (
    exists (select from studio.qa_verdicts v
            where v.sample_id = p_sample and v.portrait_id = p_portrait and v.person = auth.uid())
    or exists (select from studio.qa_samples s where s.id = p_sample and s.closed_at is not null))
$$;
revoke execute on function studio.may_see_verdicts(uuid, uuid) from public;
grant execute on function studio.may_see_verdicts(uuid, uuid) to authenticated;

alter table studio.qa_samples enable row level security;
alter table studio.qa_sample_items enable row level security;
alter table studio.qa_verdicts enable row level security;
grant all on studio.qa_samples, studio.qa_sample_items, studio.qa_verdicts to service_role;
grant select on studio.qa_samples, studio.qa_sample_items, studio.qa_verdicts to authenticated;
create policy studio_service on studio.qa_samples for all to service_role using (true) with check (true);
create policy studio_service on studio.qa_sample_items for all to service_role using (true) with check (true);
create policy studio_service on studio.qa_verdicts for all to service_role using (true) with check (true);
create policy reads on studio.qa_samples for select to authenticated using (studio.has_role('qa', 'product', 'admin'));
create policy reads on studio.qa_sample_items for select to authenticated
  using (studio.has_role('qa', 'product', 'admin'));
create policy reads on studio.qa_verdicts for select to authenticated
  using (studio.has_role('qa', 'product', 'admin')
         and (person = auth.uid() or studio.may_see_verdicts(sample_id, portrait_id)));

-- What was drawn stays as it was drawn.
create trigger qa_sample_items_frozen before update or delete on studio.qa_sample_items
  for each row execute function studio.append_only();

create function studio.refuse_unless_qa(variadic p_roles text[]) returns void
language plpgsql stable set search_path = '' as $$
begin
  if auth.uid() is null or not studio.has_role(variadic p_roles) then
    raise exception 'QA samples are drawn and closed by qa and admin, and judged by qa, product and admin. Ask an admin for the role.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;
revoke execute on function studio.refuse_unless_qa(text[]) from public;

-- The portraits of a time by stratum. The style is the job's own word, else the first tag of the character that
-- p_styles (tag → style) knows; the provider the job's.
create function studio.qa_population(p_since timestamptz, p_until timestamptz, p_styles jsonb)
returns table (portrait_id uuid, character_id uuid, job_id uuid, provider text, style text, week date)
language sql stable set search_path = '' as $$
  select p.id, p.character_id, j.id,
    coalesce(nullif(j.metadata ->> 'provider', ''), v.name, 'not known'),
    coalesce(nullif(j.metadata ->> 'style', ''),
             (select p_styles ->> lower(btrim(t.tag)) from unnest(c.appearance_tags) with ordinality t(tag, place)
              where p_styles ? lower(btrim(t.tag)) order by t.place limit 1), 'not said'),
    date_trunc('week', p.created_at at time zone 'UTC')::date
  from public.character_portraits p
  join public.characters c on c.id = p.character_id
  left join public.jobs j on j.id = p.job_id
  left join public.api_models m on m.id = j.api_model_id
  left join public.api_providers v on v.id = m.provider_id
  where p.deleted_at is null and c.deleted_at is null and p.created_at >= p_since and p.created_at < p_until
$$;
revoke execute on function studio.qa_population(timestamptz, timestamptz, jsonb) from public;

-- Draws at most p_per_stratum portraits of each stratum: the lowest by a hash of seed and id, so the same seed over the
-- same portraits draws the same ones. How many; the same id again is the same sample.
create function studio.draw_qa_sample(
  p_id uuid, p_title text, p_seed bigint, p_since timestamptz, p_until timestamptz, p_per_stratum integer, p_most integer,
  p_styles jsonb
) returns integer language plpgsql security definer set search_path = '' as $$
declare
  found_size integer;
begin
  perform studio.refuse_unless_qa('qa', 'admin');
  if p_title is null or length(btrim(p_title)) not between 1 and 80 or p_since >= p_until
     or p_until - p_since > interval '400 days' or p_per_stratum not between 1 and 100 then
    raise exception 'A sample has a name, a time of at most 400 days, and 1 to 100 portraits of each kind.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'sample';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('qa_sample:' || p_id::text, 0));
  select s.size into found_size from studio.qa_samples s where s.id = p_id;
  if found_size is not null then
    return found_size;
  end if;
  drop table if exists pg_temp.qa_drawn;
  create temporary table qa_drawn on commit drop as
  select o.*, count(*) over (partition by o.provider, o.style, o.week) as population,
    row_number() over (partition by o.provider, o.style, o.week
                       order by md5(p_seed::text || ':' || o.portrait_id::text)) as rank
  from studio.qa_population(p_since, p_until, coalesce(p_styles, '{}')) o;
  select count(*) into found_size from pg_temp.qa_drawn d where d.rank <= p_per_stratum;
  if found_size = 0 then
    raise exception 'No portrait was saved in this time. Choose a longer one.'
      using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if found_size > least(p_most, 2000) then
    raise exception 'This sample would have % portraits, and one takes at most %. Choose a shorter time, or fewer of each kind.',
      found_size, least(p_most, 2000) using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'per_stratum';
  end if;
  insert into studio.qa_samples (id, title, seed, since, until, per_stratum, size, strata, drawn_by)
  select p_id, btrim(p_title), p_seed, p_since, p_until, p_per_stratum, found_size,
    jsonb_agg(jsonb_build_object('provider', s.provider, 'style', s.style, 'week', s.week, 'population', s.population,
                                 'taken', s.taken) order by s.week, s.provider, s.style),
    auth.uid()
  from (select d.provider, d.style, d.week, max(d.population) as population,
               count(*) filter (where d.rank <= p_per_stratum) as taken
        from pg_temp.qa_drawn d group by 1, 2, 3) s;
  insert into studio.qa_sample_items (sample_id, place, portrait_id, character_id, job_id, provider, style, week)
  select p_id, row_number() over (order by md5('place:' || p_seed::text || ':' || d.portrait_id::text)),
    d.portrait_id, d.character_id, d.job_id, d.provider, d.style, d.week
  from pg_temp.qa_drawn d where d.rank <= p_per_stratum;
  perform studio.note_audit('qa_sample_drawn', 'qa_samples', p_id::text, null, jsonb_build_object(
    'seed', p_seed, 'since', p_since, 'until', p_until, 'per_stratum', p_per_stratum, 'size', found_size));
  return found_size;
end $$;
revoke execute on function studio.draw_qa_sample(uuid, text, bigint, timestamptz, timestamptz, integer, integer, jsonb) from public;
grant execute on function studio.draw_qa_sample(uuid, text, bigint, timestamptz, timestamptz, integer, integer, jsonb) to authenticated;

-- A person's own verdict on one portrait; given again, it is changed, and the first one stays beside it.
create function studio.give_qa_verdict(p_sample uuid, p_portrait uuid, p_verdict text, p_note text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  said text := nullif(btrim(p_note), '');
  before text;
begin
  perform studio.refuse_unless_qa('qa', 'product', 'admin');
  if p_verdict is null or p_verdict not in ('good', 'acceptable', 'bad', 'not_character', 'policy')
     or length(said) > 500 or (p_verdict = 'policy' and said is null) then
    raise exception 'A verdict is good, acceptable, bad, not the character, or a policy problem with a note of what it is.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'note';
  end if;
  -- Held against closing: a verdict counts, or it is refused.
  perform from studio.qa_samples s where s.id = p_sample and s.closed_at is null for share;
  if not found then
    raise exception 'This sample is closed, so its verdicts stand.' using errcode = 'PS409', detail = 'SAMPLE_CLOSED';
  end if;
  if not exists (select from studio.qa_sample_items i where i.sample_id = p_sample and i.portrait_id = p_portrait) then
    raise exception 'This portrait is not in the sample.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  select v.verdict into before from studio.qa_verdicts v
  where v.sample_id = p_sample and v.portrait_id = p_portrait and v.person = me;
  insert into studio.qa_verdicts as v (sample_id, portrait_id, person, verdict, first_verdict, note)
  values (p_sample, p_portrait, me, p_verdict, p_verdict, said)
  on conflict (sample_id, portrait_id, person) do update
    set verdict = excluded.verdict, note = excluded.note, changed_at = now();
  perform studio.note_audit('qa_verdict_given', 'character_portraits', p_portrait::text,
    case when before is null then null else jsonb_build_object('verdict', before) end,
    jsonb_build_object('sample', p_sample, 'verdict', p_verdict));
end $$;
revoke execute on function studio.give_qa_verdict(uuid, uuid, text, text) from public;
grant execute on function studio.give_qa_verdict(uuid, uuid, text, text) to authenticated;

-- A policy problem is a finding while anybody says so.
create function studio.policy_verdict_is_a_finding() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if new.verdict = 'policy' then
    perform studio.note_finding('qa.policy_problem', 'character_portraits', new.portrait_id::text,
      'A person judged this portrait a policy problem in a QA sample. Look at it, and delete it if it is one.');
  elsif not exists (select from studio.qa_verdicts v where v.portrait_id = new.portrait_id and v.verdict = 'policy') then
    update studio.findings f set mended_at = now(), mended_by = new.person
    where f.rule = 'qa.policy_problem' and f.table_name = 'character_portraits' and f.row_id = new.portrait_id::text
      and f.mended_at is null;
  end if;
  return null;
end $$;
revoke execute on function studio.policy_verdict_is_a_finding() from public;
create trigger policy_verdict_is_a_finding after insert or update of verdict on studio.qa_verdicts
  for each row execute function studio.policy_verdict_is_a_finding();

-- How far everybody is, and not what they said: a person and how many they have judged.
create function studio.qa_progress(p_sample uuid) returns table (person uuid, judged integer, last_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_unless_qa('qa', 'product', 'admin');
  return query select v.person, count(*)::integer, max(coalesce(v.changed_at, v.given_at))
  from studio.qa_verdicts v where v.sample_id = p_sample group by v.person order by 2 desc, 1;
end $$;
revoke execute on function studio.qa_progress(uuid) from public;
grant execute on function studio.qa_progress(uuid) to authenticated;

-- Closed: no more verdicts, and everybody sees them all. False where it was closed already.
create function studio.close_qa_sample(p_sample uuid, p_why text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.refuse_unless_qa('qa', 'admin');
  if length(p_why) > 500 then
    raise exception 'A reason takes at most 500 characters.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  if not exists (select from studio.qa_samples s where s.id = p_sample) then
    raise exception 'There is no such sample.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  update studio.qa_samples s set closed_at = now(), closed_by = auth.uid() where s.id = p_sample and s.closed_at is null;
  if not found then
    return false;
  end if;
  perform studio.note_audit('qa_sample_closed', 'qa_samples', p_sample::text, null, null, nullif(btrim(p_why), ''));
  return true;
end $$;
revoke execute on function studio.close_qa_sample(uuid, text) from public;
grant execute on function studio.close_qa_sample(uuid, text) to authenticated;
