"""Gradio's theme in the product's palette; the rest of the look is `assets/studio.css`."""

from __future__ import annotations

import gradio as gr

ACCENT = "#6d4aff"
ACCENT_DARK = "#7c5cff"


def build() -> gr.themes.Base:
    """The theme of every studio page, light and dark; both pass WCAG AA for text."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.violet,
        secondary_hue=gr.themes.colors.violet,
        neutral_hue=gr.themes.colors.zinc,
        radius_size=gr.themes.sizes.radius_lg,
        font=["Inter", "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(
        body_background_fill="var(--ps-page)",
        body_background_fill_dark="var(--ps-page)",
        body_text_color="var(--ps-text)",
        body_text_color_dark="var(--ps-text)",
        body_text_color_subdued="var(--ps-soft)",
        body_text_color_subdued_dark="var(--ps-soft)",
        background_fill_primary="var(--ps-surface)",
        background_fill_primary_dark="var(--ps-surface)",
        background_fill_secondary="var(--ps-sunken)",
        background_fill_secondary_dark="var(--ps-sunken)",
        border_color_primary="var(--ps-line)",
        border_color_primary_dark="var(--ps-line)",
        color_accent="var(--ps-accent)",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_label_text_color="var(--ps-text)",
        block_title_text_color="var(--ps-text)",
        block_title_text_color_dark="var(--ps-text)",
        block_title_text_weight="550",
        block_title_text_size="13px",
        block_shadow="none",
        block_shadow_dark="none",
        input_background_fill="var(--ps-field)",
        input_background_fill_dark="var(--ps-field)",
        input_background_fill_focus="var(--ps-surface)",
        input_background_fill_focus_dark="var(--ps-field)",
        input_border_width="1px",
        input_border_width_dark="1px",
        input_border_color="var(--ps-line)",
        input_border_color_dark="var(--ps-line)",
        input_border_color_focus="var(--ps-accent)",
        input_border_color_focus_dark="var(--ps-accent)",
        input_placeholder_color="var(--ps-faint)",
        input_placeholder_color_dark="var(--ps-faint)",
        input_shadow_focus="0 0 0 3px var(--ps-ring)",
        input_shadow_focus_dark="0 0 0 3px var(--ps-ring)",
        button_primary_background_fill="var(--ps-accent)",
        button_primary_background_fill_dark="var(--ps-accent)",
        button_primary_background_fill_hover="var(--ps-accent-strong)",
        button_primary_background_fill_hover_dark="var(--ps-accent-strong)",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="var(--ps-surface)",
        button_secondary_background_fill_dark="var(--ps-raised)",
        button_secondary_background_fill_hover="var(--ps-sunken)",
        button_secondary_background_fill_hover_dark="var(--ps-sunken)",
        button_secondary_border_color="var(--ps-line)",
        button_secondary_border_color_dark="var(--ps-line)",
        button_secondary_text_color="var(--ps-text)",
        button_secondary_text_color_dark="var(--ps-text)",
        button_border_width="1px",
        layout_gap="16px",
    )
