-- Rows against objects (SPEC "Audit", Library): the scans, what their listings saw, and what each finding of a scan says
-- beyond its sentence. Only workers write here; asking for a scan and ending a repair are definer functions.

create table studio.stock_scans (
  id uuid primary key default gen_random_uuid(),
  asked_by uuid,
  asked_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  beat_at timestamptz,
  finished_at timestamptz,
  stage text not null default 'objects',
  cursor text not null default '',
  expected bigint not null default 0,
  looked_at bigint not null default 0,
  objects bigint not null default 0,
  bytes bigint not null default 0,
  rows bigint not null default 0,
  read bigint not null default 0,
  unread bigint not null default 0,
  binned bigint not null default 0,
  trouble text,
  counts jsonb not null default '{}'
);
comment on column studio.stock_scans.asked_by is 'the person who asked for it; null: the schedule';
comment on column studio.stock_scans.cursor is 'where the stage stands: the last object or row that was looked at';
comment on column studio.stock_scans.counts is 'open findings by kind when it ended: {"object_missing": 2, …}';
create unique index stock_scans_one_at_a_time on studio.stock_scans ((true)) where finished_at is null;
create index stock_scans_recent on studio.stock_scans (asked_at desc, id desc);

-- What the last listing saw, and which row names it. C collation: in the order in which a bucket is walked.
create table studio.stock_objects (
  bucket text not null collate "C",
  path text not null collate "C",
  size bigint not null,
  modified_at timestamptz not null,
  seen_in uuid not null,
  named_in uuid,
  is_wanted boolean not null default false,
  is_picture boolean not null default false,
  table_name text,
  row_id text,
  owner uuid,
  character_id uuid,
  want_size bigint,
  want_sha256 text,
  sha256 text,
  phash text,
  is_blank boolean not null default false,
  decoded_at timestamptz,
  primary key (bucket, path)
) with (fillfactor = 70);
comment on column studio.stock_objects.is_wanted is 'false: a row names it and does not need it any more';
comment on column studio.stock_objects.is_picture is 'an original, no thumbnail and no video: what is decoded and compared';
comment on column studio.stock_objects.sha256 is 'of the bytes, as they were last read; want_sha256 is what its row says';
comment on column studio.stock_objects.phash is '16 hex digits, of originals only: from the row, else from the bytes';
-- Two hashes of 64 bits that differ in three or fewer share one of four bands of 16.
create index stock_objects_band_1 on studio.stock_objects (substr(phash, 1, 4)) where phash is not null;
create index stock_objects_band_2 on studio.stock_objects (substr(phash, 5, 4)) where phash is not null;
create index stock_objects_band_3 on studio.stock_objects (substr(phash, 9, 4)) where phash is not null;
create index stock_objects_band_4 on studio.stock_objects (substr(phash, 13, 4)) where phash is not null;
create index stock_objects_to_decode on studio.stock_objects (decoded_at nulls first, bucket, path) where is_picture;

create table studio.stock_marks (
  finding_id bigint primary key references studio.findings (id) on delete cascade,
  kind text not null,
  scan_id uuid not null,
  bucket text,
  path text,
  other_path text,
  table_name text,
  row_id text,
  column_name text,
  owner uuid,
  character_id uuid,
  job_id uuid,
  size bigint,
  want_size bigint,
  distance integer,
  host text,
  dies_at timestamptz,
  is_accepted boolean not null default false
);
comment on table studio.stock_marks is 'what a library finding points at; a link itself is never kept here';
comment on column studio.stock_marks.is_accepted is 'a person decided to leave it as it is: scans do not open it again';
create index stock_marks_by_kind on studio.stock_marks (kind, finding_id);
create index stock_marks_of_character on studio.stock_marks (character_id) where character_id is not null;
create index stock_marks_by_end on studio.stock_marks (dies_at) where dies_at is not null;

alter table studio.stock_scans enable row level security;
alter table studio.stock_objects enable row level security;
alter table studio.stock_marks enable row level security;
do $$
declare
  name text;
begin
  foreach name in array array['stock_scans', 'stock_objects', 'stock_marks'] loop
    execute format('create policy studio_service on studio.%I for all to service_role using (true) with check (true)', name);
    execute format('grant all on studio.%I to service_role', name);
    execute format('create policy team_reads on studio.%I for select to authenticated using ((select studio.has_role(''qa'', ''product'', ''admin'')))', name);
    execute format('grant select on studio.%I to authenticated', name);
  end loop;
end $$;

create function studio.refuse_stock_keeper() returns void language plpgsql stable set search_path = '' as $$
begin
  if not studio.has_role('qa', 'admin') then
    raise exception 'This needs the qa role. Ask an admin for it.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;

-- Asks for a scan; where one is asked for or runs already, that is the one. A worker carries it out.
create function studio.ask_stock_scan() returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  made uuid;
begin
  perform studio.refuse_stock_keeper();
  insert into studio.stock_scans (asked_by) values (auth.uid()) on conflict ((true)) where finished_at is null do nothing
  returning id into made;
  if made is not null then
    perform studio.note_audit('library_scan_asked', 'stock_scans', made::text);
    return made;
  end if;
  select s.id into made from studio.stock_scans s where s.finished_at is null;
  return made;
end $$;
revoke execute on function studio.ask_stock_scan() from public;
grant execute on function studio.ask_stock_scan() to authenticated;

-- Whether this person may repair this finding now: null, or why not. Nothing is changed.
create function studio.stock_repair_refusal(p_finding bigint) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  it studio.findings;
begin
  perform studio.refuse_stock_keeper();
  select * into it from studio.findings f where f.id = p_finding and f.rule like 'library.%';
  if it.id is null then
    return 'There is no such finding of the library.';
  end if;
  if it.mended_at is not null then
    return 'It was mended meanwhile; nothing was changed.';
  end if;
  return null;
end $$;
revoke execute on function studio.stock_repair_refusal(bigint) from public;
grant execute on function studio.stock_repair_refusal(bigint) to authenticated;

-- A repair is done: the finding is mended and the audit says by whom. False where somebody else was first.
create function studio.end_stock_repair(p_finding bigint, p_deed text, p_before jsonb, p_after jsonb, p_why text)
returns boolean language plpgsql security definer set search_path = '' as $$
declare
  it studio.findings;
begin
  perform studio.refuse_stock_keeper();
  select * into it from studio.findings f where f.id = p_finding and f.rule like 'library.%' for update;
  if it.id is null or it.mended_at is not null then
    return false;
  end if;
  update studio.findings f set mended_at = clock_timestamp(), mended_by = auth.uid() where f.id = p_finding;
  update studio.stock_marks m set is_accepted = p_deed = 'accepted' where m.finding_id = p_finding;
  perform studio.note_audit('library_' || p_deed, it.table_name, it.row_id, p_before, p_after, p_why);
  return true;
end $$;
revoke execute on function studio.end_stock_repair(bigint, text, jsonb, jsonb, text) from public;
grant execute on function studio.end_stock_repair(bigint, text, jsonb, jsonb, text) to authenticated;
