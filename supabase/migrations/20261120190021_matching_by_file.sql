-- Recovery finds a job's character by its picture too (SPEC "Matching"): which job a character's addresses name, as
-- studio.job_of_path reads them. Bare expressions: an index on other writers' rows calls no function of ours.
create index characters_by_image_job on public.characters (lower(substring(image_url from
  '(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?(?:\.thumb)?\.[A-Za-z0-9]+(?:\?.*)?$')));
create index characters_by_reference_job on public.characters (lower(substring(reference_image_url from
  '(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?(?:\.thumb)?\.[A-Za-z0-9]+(?:\?.*)?$')));
