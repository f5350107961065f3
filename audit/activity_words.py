"""What the record says was done, in the product's words."""

from __future__ import annotations

from collections.abc import Mapping

_ACTIONS: Mapping[str, str] = {
    "job_purged": "Purged a job",
    "jobs_held": "Held the waiting jobs of a restored database",
    "unknown_settled": "Settled an unknown outcome",
    "unknown_found": "Found a lost request",
    "character_decided": "Chose the character of a job",
    "autosave_repaired": "Repaired a saved portrait",
    "portrait_deleted": "Deleted a portrait",
    "portrait_restored": "Brought a portrait back",
    "picture_imported": "Imported a picture",
    "card_imported": "Imported a character card",
    "library_deleted": "Took an item out of the library",
    "library_restored": "Put an item back into the library",
    "reference_uploaded": "Uploaded a reference",
    "reference_erased": "Erased a reference",
    "member_added": "Shared a character",
    "member_changed": "Changed what a colleague may do",
    "member_removed": "Ended the sharing of a character",
    "member_left": "Left a shared character",
    "attribute_run_begun": "Began a run of attribute images",
    "attribute_run_cancelled": "Cancelled a run of attribute images",
    "attribute_image_asked": "Asked for an attribute image",
    "attribute_image_cancelled": "Cancelled an attribute image",
    "attribute_image_published": "Published an attribute image",
    "attribute_image_kept": "Kept an attribute image back",
    "attribute_image_reviewed": "Judged an attribute image",
    "attribute_option_added": "Added an option of the form",
    "attribute_option_switched": "Switched an option of the form",
    "attribute_option_changed": "Changed an option of the form",
    "model_changed": "Changed a model",
    "model_added": "Added a model",
    "person_roles_set": "Changed somebody's roles",
    "person_invited": "Invited somebody",
    "person_banned": "Banned somebody",
    "person_unbanned": "Let somebody in again",
    "person_signed_out": "Signed somebody out everywhere",
    "password_message_asked": "Asked for a new password's message",
    "password_chosen": "Chose a password by a message's link",
    "person_change_failed": "Could not change somebody",
    "retention_changed": "Changed how long something is kept",
    "budget_set": "Set a budget",
    "budget_removed": "Removed a budget",
    "price_set": "Set a price",
    "price_withdrawn": "Withdrew a price",
    "refund": "Entered a refund",
    "provider_paused": "Paused a provider",
    "provider_resumed": "Resumed a provider",
    "foreign_path_refused": "Was refused somebody else's file",
    "bulk_begun": "Began a bulk action",
    "bulk_ended": "Ended a bulk action",
    "bulk_resumed": "Resumed a bulk action",
    "bulk_stopped": "Stopped a bulk action",
    "finding_assigned": "Assigned a finding",
    "finding_noted": "Noted something on a finding",
    "finding_set_aside": "Set a finding aside",
    "finding_brought_back": "Brought a finding back",
    "proof_asked": "Asked for a check of the auto-save",
    "library_scan_asked": "Asked for a scan of the library",
    "rows_check_asked": "Asked for a check of every row",
    "qa_sample_drawn": "Drew a QA sample",
    "qa_sample_closed": "Closed a QA sample",
    "qa_verdict_given": "Judged a picture of a QA sample",
    "test_portrait": "Ran a test portrait",
    "test_notice": "Sent a test notice",
    "view_saved": "Kept a view",
    "view_changed": "Changed a view",
    "view_removed": "Deleted a view",
}
_TABLES: Mapping[str, str] = {
    "jobs": "Job",
    "characters": "Character",
    "character_portraits": "Portrait",
    "character_scenes": "Scene",
    "user_library": "Library item",
    "attribute_images": "Attribute image",
    "style_images": "Style image",
    "attribute_runs": "Run of attribute images",
    "attribute_options": "Option of the form",
    "reference_uploads": "Reference",
    "api_models": "Model",
    "people": "Person",
    "budgets": "Budget",
    "model_prices": "Price",
    "kept_days": "How long it is kept",
    "cost_entries": "Ledger of a job",
    "provider_state": "Provider",
    "bulk_actions": "Bulk action",
    "findings": "Finding",
    "proof_runs": "Check of the auto-save",
    "stock_scans": "Scan of the library",
    "qa_samples": "QA sample",
    "health_notices": "Health notice",
    "saved_views": "View",
    "storage.objects": "File",
}


def action(name: str) -> str:
    """What was done: "Purged a job". A name this does not know stands as it is, without its lines."""
    return _ACTIONS.get(name) or _plain(name)


def table(name: str) -> str:
    """What it was done to: "Job"."""
    return _TABLES.get(name) or _plain(name)


def _plain(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]
