-- Recovery settles suggestions whose process died.

create index suggestions_lost on studio.suggestions (asked_at) where outcome is null;
