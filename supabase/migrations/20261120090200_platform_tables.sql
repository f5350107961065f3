-- The platform's tables: adopted where they stand, made where they do not. No column, row or policy is dropped;
-- columns are added, seeds widened, and the two checks that forbid our values are found by column and replaced.

create table if not exists public.characters (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  name text not null,
  description text not null,
  gender text not null default 'female',
  content_rating text not null default 'sfw',
  is_public boolean not null default false,
  traits text, persona text, image_url text, reference_image_url text, preview_image_url text,
  appearance_tags text[] default '{}', clothing_tags text[] default '{}',
  voice_tone text default 'warm', mood text default 'friendly',
  first_message text, system_prompt text,
  alternate_greetings text[] default '{}', forbidden_phrases text[] default '{}', voice_examples text[] default '{}',
  default_presets jsonb, scene_behavior_rules jsonb, seed_locked bigint, role text,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
  constraint valid_content_rating check (content_rating in ('sfw', 'nsfw')),
  constraint valid_voice_tone check (voice_tone in ('warm', 'playful', 'confident', 'teasing', 'direct')),
  constraint valid_mood check (mood in ('friendly', 'flirty', 'mysterious', 'dominant', 'submissive'))
);

create table if not exists public.character_portraits (
  id uuid primary key default gen_random_uuid(),
  character_id uuid not null references public.characters (id) on delete cascade,
  image_url text not null, thumbnail_url text, prompt text, enhanced_prompt text,
  generation_metadata jsonb default '{}',
  is_primary boolean not null default false,
  sort_order integer not null default 0,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now()
);

create table if not exists public.character_scenes (
  id uuid primary key default gen_random_uuid(),
  character_id uuid not null references public.characters (id) on delete cascade,
  scene_name text not null, scene_description text, scene_prompt text, image_url text,
  scene_type text default 'custom', scene_starters text[] default '{}', system_prompt text,
  priority integer not null default 0,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now()
);

create table if not exists public.api_providers (
  id uuid primary key default gen_random_uuid(),
  name text not null unique, display_name text, is_active boolean not null default true,
  created_at timestamptz not null default now()
);

create table if not exists public.api_models (
  id uuid primary key default gen_random_uuid(),
  provider_id uuid not null references public.api_providers (id) on delete cascade,
  display_name text not null, model_key text not null, modality text not null,
  capabilities jsonb default '{}', is_active boolean not null default true, priority integer not null default 0,
  input_defaults jsonb default '{}', default_for_tasks text[],
  created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
  constraint valid_modality check (modality in ('chat', 'image', 'video'))
);

create table if not exists public.jobs (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  job_type text not null,
  status text not null default 'queued',
  original_prompt text, api_model_id uuid references public.api_models (id),
  metadata jsonb default '{}', error_message text,
  created_at timestamptz not null default now(), started_at timestamptz, completed_at timestamptz
);

create table if not exists public.workspace_assets (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null, job_id uuid,
  asset_type text not null, temp_storage_path text not null, thumbnail_path text,
  mime_type text not null, file_size_bytes bigint not null default 0,
  original_prompt text, model_used text, generation_seed bigint, generation_settings jsonb default '{}',
  created_at timestamptz not null default now(), expires_at timestamptz
);

create table if not exists public.user_library (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  asset_type text not null, storage_path text not null, thumbnail_path text,
  file_size_bytes bigint not null default 0, mime_type text not null,
  original_prompt text, model_used text, generation_seed bigint, width integer, height integer,
  tags text[] default '{}', roleplay_metadata jsonb, content_category text,
  created_at timestamptz not null default now()
);

create table if not exists public.attribute_images (
  id uuid primary key default gen_random_uuid(),
  category text not null, value text not null, style text not null,
  image_url text not null, prompt text, seed bigint, width integer, height integer,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
  unique (category, value, style)
);

create table if not exists public.style_images (
  id uuid primary key default gen_random_uuid(),
  style text not null unique, image_url text not null, prompt text,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now()
);

alter table public.characters
  add column if not exists preview_image_url text,
  add column if not exists scene_behavior_rules jsonb,
  add column if not exists role text,
  add column if not exists seed_locked bigint,
  add column if not exists personality_traits text,
  add column if not exists match_reference boolean not null default false,
  add column if not exists reference_is_auto boolean not null default false,
  add column if not exists version bigint not null default 1,
  add column if not exists deleted_at timestamptz,
  add column if not exists deleted_by uuid,
  alter column seed_locked type bigint,
  alter column content_rating set default 'sfw';

alter table public.character_portraits
  add column if not exists job_id uuid,
  add column if not exists seed bigint,
  add column if not exists width integer,
  add column if not exists height integer,
  add column if not exists sha256 text,
  add column if not exists phash text,
  add column if not exists primary_pinned boolean not null default false,
  add column if not exists deleted_at timestamptz,
  add column if not exists deleted_by uuid;

alter table public.api_models add column if not exists default_for_tasks text[];

alter table public.jobs
  add column if not exists runner text not null default 'platform',
  add column if not exists character_id uuid,
  add column if not exists attempts integer not null default 0,
  add column if not exists lease bigint not null default 0,
  add column if not exists progress real,
  add column if not exists stage text,
  add column if not exists queue_position integer,
  add column if not exists heartbeat_at timestamptz,
  add column if not exists cancel_requested boolean not null default false,
  add column if not exists error_code text,
  add column if not exists retried_from uuid,
  add column if not exists idempotency_key text,
  add column if not exists cost_usd numeric(12, 6);

alter table public.workspace_assets
  add column if not exists sha256 text,
  add column if not exists phash text,
  add column if not exists blank boolean,
  add column if not exists deleted_at timestamptz,
  add column if not exists deleted_by uuid,
  alter column generation_seed type bigint;

alter table public.user_library
  add column if not exists job_id uuid,
  add column if not exists sha256 text,
  add column if not exists phash text,
  add column if not exists blank boolean,
  add column if not exists deleted_at timestamptz,
  add column if not exists deleted_by uuid,
  alter column generation_seed type bigint;

alter table public.attribute_images
  add column if not exists file_size_bytes bigint,
  add column if not exists job_id uuid,
  add column if not exists cost_usd numeric(12, 6),
  add column if not exists original text,
  add column if not exists review_status text not null default 'pending',
  add column if not exists reviewed_by uuid,
  add column if not exists reviewed_at timestamptz,
  add column if not exists review_note text,
  alter column seed type bigint;

alter table public.style_images
  add column if not exists file_size_bytes bigint,
  add column if not exists job_id uuid,
  add column if not exists cost_usd numeric(12, 6),
  add column if not exists original text,
  add column if not exists review_status text not null default 'pending',
  add column if not exists reviewed_by uuid,
  add column if not exists reviewed_at timestamptz,
  add column if not exists review_note text;

-- Checks on one column, whatever they are called there, give way to ours.
do $$
declare
  old record;
begin
  for old in
    select c.conname, t.relname
    from pg_constraint c
    join pg_class t on t.oid = c.conrelid
    join pg_namespace n on n.oid = t.relnamespace
    join pg_attribute a on a.attrelid = t.oid and c.conkey = array[a.attnum]
    where c.contype = 'c' and n.nspname = 'public'
      and (t.relname, a.attname) in (('characters', 'gender'), ('jobs', 'status'))
  loop
    execute format('alter table public.%I drop constraint %I', old.relname, old.conname);
  end loop;
end $$;

alter table public.characters add constraint valid_gender
  check (gender in ('female', 'male', 'non-binary', 'unspecified'));
alter table public.jobs add constraint jobs_status_check
  check (status in ('queued', 'processing', 'completed', 'failed', 'cancelled'));

do $$
begin
  if not exists (select from pg_constraint where conname = 'jobs_runner_check') then
    alter table public.jobs add constraint jobs_runner_check check (runner in ('platform', 'studio'));
  end if;
  if not exists (select from pg_constraint where conname = 'attribute_images_review_check') then
    alter table public.attribute_images add constraint attribute_images_review_check
      check (review_status in ('pending', 'approved', 'rejected'));
    alter table public.style_images add constraint style_images_review_check
      check (review_status in ('pending', 'approved', 'rejected'));
  end if;
end $$;

create index if not exists idx_characters_user_id on public.characters (user_id);
create index if not exists idx_characters_is_public on public.characters (is_public) where is_public;
create index if not exists idx_characters_created_at on public.characters (created_at desc);
create index if not exists characters_recent on public.characters (updated_at desc, id desc) where deleted_at is null;
create index if not exists idx_character_portraits_character_id on public.character_portraits (character_id);
create unique index if not exists portraits_one_per_job on public.character_portraits (job_id) where job_id is not null;
create index if not exists idx_character_scenes_character_id on public.character_scenes (character_id);
create index if not exists models_by_key on public.api_models (provider_id, model_key);
create index if not exists jobs_recent on public.jobs (created_at desc, id desc);
create index if not exists jobs_unfinished on public.jobs (created_at) where status in ('queued', 'processing');
create index if not exists jobs_unsaved on public.jobs (created_at desc)
  where status = 'completed' and character_id is not null and stage is distinct from 'saved';
create index if not exists jobs_of_character on public.jobs (character_id, created_at desc);
create unique index if not exists jobs_one_per_key on public.jobs (user_id, idempotency_key)
  where idempotency_key is not null;
create index if not exists assets_of_job on public.workspace_assets (job_id);
create unique index if not exists library_one_per_job on public.user_library (job_id) where job_id is not null;
create index if not exists library_recent on public.user_library (user_id, created_at desc, id desc);

-- At most one primary a character. Deferred, so that two-step switches pass; a partial unique index would not.
-- Characters that have several today must be settled first: the newest keeps the star, the others become findings.
with settled as (
  update public.character_portraits p set is_primary = false
  where is_primary and exists (
    select from public.character_portraits newer
    where newer.character_id = p.character_id and newer.is_primary
      and (newer.created_at, newer.id) > (p.created_at, p.id)
  )
  returning p.id
)
select studio.note_finding('portrait.second_primary', 'character_portraits', id::text,
  'This character had several primary portraits. The newest kept the star; choose another where that is wrong.')
from settled;
do $$
begin
  if not exists (select from pg_constraint where conname = 'portraits_one_primary') then
    alter table public.character_portraits add constraint portraits_one_primary
      exclude using btree (character_id with =) where (is_primary) deferrable initially deferred;
  end if;
end $$;

grant usage on schema public to anon, authenticated, service_role;
grant all on public.characters, public.character_portraits, public.character_scenes, public.api_providers,
  public.api_models, public.jobs, public.workspace_assets, public.user_library, public.attribute_images,
  public.style_images to anon, authenticated, service_role;
