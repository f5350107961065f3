"""The table's third room: to which action of core/authority.py each way in belongs (SPEC "People").

A way that is about somebody's row may belong to two: the role that sees or changes what is one's own, and the one that does
so across people. What is open to all stands in `OPEN`, with why.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.authority import Action

_A = Action
_READ = (_A.use_studio, _A.see_everybodys)
_STOP = (_A.make_pictures, _A.cancel_anybodys)
_SHARE = (_A.share_characters, _A.share_anybodys)

_USE_CASES: Mapping[tuple[Action, ...], str] = {
    _READ: """characters.load characters.listing members.of_character members.owner_name history.versions
        cards.exporting.report cards.exporting.export portraits.tiles portraits.grid portraits.running portraits.every
        portraits.details portraits.bin_of copies.copy_of copies.archive scenes.cards scenes.get generation.outcome
        library.page library.count""",
    (
        _A.use_studio,
    ): """references.serving generation.models_for generation.worker_lives line.line_for reviews.looks
        reviews.address_of reviews.link portraits.signed foreign_paths.own foreign_paths.note
        pauses.listing bulk.run bulk.stop bulk.report bulk.unfinished bulk.just_ended""",
    (_A.write_characters,): """characters.create characters.save characters.settle_rating characters.publish
        characters.unpublish characters.may_change characters.may_remove characters.keep_as_own characters.delete characters.restore
        characters.duplicate""",
    (_A.import_characters,): "cards.importing.take",
    _SHARE: "members.add members.change members.remove",
    (_A.leave_characters,): "members.leave",
    (_A.write_scenes,): "scenes.create scenes.save scenes.delete scenes.restore scenes.reorder",
    (
        _A.choose_references,
    ): """references.upload references.choose references.pick_from_library references.pick_portrait
        references.remove references.choose_match references.recent""",
    (
        _A.make_pictures,
    ): """generation.preview generation.request generation.dismiss generation.retry generation.offer_of portraits.again
        bulk.price""",
    _STOP: "generation.cancel",
    (_A.ask_suggestions,): "suggestions.suggest",
    (
        _A.change_portraits,
    ): """portraits.make_primary portraits.reorder portraits.delete_many portraits.restore_many""",
    (_A.rate_portraits,): "portraits.rate",
    (_A.change_library,): "library.retag library.delete library.restore",
    (_A.see_answers,): "answers.told",
    (_A.decide_characters,): "matching.decide",
    (_A.repair_autosave,): "mending.repair mending.told",
    (_A.check_autosave,): "proof.ask",
    (_A.settle_outcomes,): "recovery.settle_unknown",
    (_A.purge_jobs,): "bulk.begin",
    (_A.scan_library,): "stock.ask",
    (_A.check_rows,): "row_rules.ask",
    (_A.work_on_findings,): "findings.team findings.assign findings.assign_all findings.note",
    (_A.judge_findings,): "findings.set_aside findings.bring_back",
    (
        _A.see_attribute_images,
    ): "attributes.status attributes.makers attributes.progress contact_sheets.gather",
    (
        _A.make_attribute_images,
    ): """attributes.plan attributes.generate attributes.regenerate attributes.cancel_run
        attributes.cancel_cell""",
    (_A.judge_attribute_images,): "reviews.review",
    (_A.change_options,): "options.add options.switch options.change admin.changes.undo_option",
    (_A.judge_samples,): "sampling.judge",
    (_A.draw_samples,): "sampling.draw sampling.close",
    (
        _A.see_settings,
    ): """admin.models.listing admin.models.todays_prices admin.models.prices admin.models.history
        admin.models.effects admin.providers.listing admin.changes.listing""",
    (_A.change_models,): "admin.models.change admin.models.undo admin.models.add",
    (_A.set_prices,): "admin.models.set_price admin.models.withdraw_price",
    (_A.pause_providers,): "admin.providers.pause pauses.resume_provider",
    (_A.set_retention,): """retention.last_runs admin.keeping.listing admin.keeping.past admin.keeping.change
        admin.keeping.undo""",
    (_A.see_people,): "admin.people.team admin.people.find",
    (_A.change_people,): """admin.people.set_roles admin.people.invite admin.people.ban admin.people.unban
        admin.people.sign_out""",
    (_A.set_budgets,): "budgets.change budgets.remove_seen admin.changes.undo_budget",
    (_A.see_costs,): "budgets.listing",
    (_A.see_health,): "health.look",
    (_A.ask_providers,): "reach.look",
    (_A.send_test_messages,): "notices.send_test",
    (_A.make_test_portrait,): "trial.begin trial.stand trial.remove",
    (_A.keep_views,): "views.of_page views.save views.change views.remove",
}
_HANDLERS: Mapping[tuple[Action, ...], str] = {
    _READ: """page.open_one editor.refreshed story.read going_public.look lightbox.look lightbox.look_in reference.fresh
        scenes.read sharing.read grid_answers.read grid_answers.running grid_answers.every create_page.open
        create_page.portrait""",
    (
        _A.use_studio,
    ): """palette.find header.find page.first queue_panel.read create_page.looks create_page.models
        library_page.page library_page.count library_page.choices""",
    (
        _A.write_characters,
    ): """page.create page.keep page.duplicate page.remove page.bring_back editor.save editor.settle
        going_public.turn create_page.save""",
    _SHARE: "sharing.add sharing.change sharing.remove",
    (_A.leave_characters,): "sharing.leave",
    (_A.write_scenes,): "scenes.act/save scenes.act/order scenes.act/delete scenes.act/restore",
    (
        _A.choose_references,
    ): """reference.choose reference.remove reference.match reference.shelf create_page.unreference
        create_page.match""",
    (_A.make_pictures,): """portraits.act/dismiss portraits.act/retry portraits.act/again prompt_bar.ask
        prompt_bar.generate scenes.act/preview scenes.act/generate scenes.act/dismiss scenes.act/retry create_page.price
        create_page.generate""",
    _STOP: "portraits.act/cancel scenes.act/cancel queue_panel.cancel create_page.cancel",
    (_A.ask_suggestions,): "proposing.ask",
    (_A.change_portraits,): """lightbox.restore portraits.order portraits.act/primary grid_answers.delete
        grid_answers.restore""",
    (_A.rate_portraits,): "portraits.act/rate",
    (_A.change_library,): "library_page.retag library_page.delete library_page.restore",
    (_A.see_attribute_images,): "attributes_page.read attributes_page.progress",
    (_A.make_attribute_images,): """attributes_page.plan attributes_page.make attributes_page.stop
        attributes_page.stop_cell""",
    (_A.judge_attribute_images,): "attributes_page.review",
}
ADDRESSES: Mapping[str, tuple[Action, ...]] = MappingProxyType({
    "GET /functions/v1/jobs/{job_id}": _READ,
    "POST /functions/v1/character-portrait": (_A.make_pictures,),
    "POST /functions/v1/fal-image": (_A.make_pictures,),
    "POST /functions/v1/character-suggestions": (_A.ask_suggestions,),
    "GET /references": (_A.choose_references,),
    "POST /references": (_A.choose_references,),
    "GET /downloads/portraits/{portrait_id}": _READ,
    "GET /downloads/portraits": _READ,
    "POST /recipes": (_A.use_studio,),
    "POST /cards": (_A.import_characters,),
    "GET /cards/{character_id}": _READ,
    "GET /cards/{character_id}/report": _READ,
    "GET /account": (_A.use_studio,),
    "WS /ws": (_A.use_studio,),
    **dict.fromkeys(
        (
            "GET /studio/", "HEAD /studio/", "GET /studio/create", "GET /studio/create/", "GET /studio/library",
            "GET /studio/library/", "GET /studio/attributes", "GET /studio/attributes/", "GET /studio/config",
            "GET /studio/gradio_api/app_id", "GET /studio/gradio_api/queue/data", "POST /studio/gradio_api/queue/join",
            "POST /studio/gradio_api/component_server", "POST /studio/gradio_api/component_server/",
        ),
        (_A.use_studio,),
    ),
})  # fmt: skip
OPEN: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(
        (
            "GET /", "GET /docs", "GET /openapi.json", "HEAD /openapi.json", "GET /favicon.ico", "GET /studio/theme.css",
            "GET /studio-assets/{version}/{name}", "GET /studio/static/{path:path}", "GET /studio/assets/{path:path}",
            "GET /sign-in/files/{version}/{name}",
        ),
        "nothing of anybody stands there",
    ),
    "GET /healthz": "says only that the process lives",
    "GET /readyz": "says only whether it can serve",
    **dict.fromkeys(
        (
            "GET /sign-in", "POST /sign-in", "GET /sign-in/oidc", "GET /sign-in/oidc/callback",
            "GET /sign-in/forgotten", "POST /sign-in/forgotten", "GET /sign-in/password", "POST /sign-in/password",
        ),
        "the way in: nobody is known yet",
    ),
    **dict.fromkeys(("POST /sign-out", "POST /sign-out-everywhere"), "the way out, by a form of one's own page"),
    "GET /metrics": "this machine alone, or METRICS_TOKEN",
    "POST /callbacks/{provider}": "a provider, by its signature or the token of the address",
    "GET /files/{bucket}/{path:path}": "whoever holds a link of ours; the right was asked where it was signed",
    "HEAD /files/{bucket}/{path:path}": "the same",
})  # fmt: skip
ROOMS: Mapping[str, tuple[Action, ...]] = MappingProxyType(
    {
        "overview": (_A.see_health,),
        "jobs": (_A.use_studio,),
        "stuck": (_A.see_everybodys,),
        "autosave": (_A.use_studio,),
        "findings": (_A.work_on_findings,),
        "library": (_A.see_everybodys,),
        "attributes": (_A.see_attribute_images,),
        "qa": (_A.judge_samples,),
        "costs": (_A.use_studio,),
        "activity": (_A.see_activity,),
        "system": (_A.use_studio,),
        "people": (_A.see_people,),
        "models": (_A.see_settings,),
        "providers": (_A.see_settings,),
        "settings": (_A.see_settings,),
    }
)


def _named(before: str, groups: Mapping[tuple[Action, ...], str]) -> Mapping[str, tuple[Action, ...]]:
    return MappingProxyType(
        {f"{before}.{name}": actions for actions, names in groups.items() for name in names.split()}
    )


USE_CASES = _named("core", _USE_CASES)
HANDLERS = _named("studio", _HANDLERS)
