"""The studio's own theme: paper and Prussian blue, a darkroom at night.

Gradio's variables are set once from the palette that ``style.css`` defines, so that light
and dark have one source; the style sheet holds the colours, this the roles.
"""

import gradio as gr

_ROLES = {
    "body_background_fill": "var(--ls-page)",
    "body_text_color": "var(--ls-ink)",
    "body_text_color_subdued": "var(--ls-muted)",
    "background_fill_primary": "var(--ls-surface)",
    "background_fill_secondary": "var(--ls-page)",
    "border_color_primary": "var(--ls-line)",
    "border_color_accent": "var(--ls-accent)",
    "color_accent": "var(--ls-accent)",
    "border_color_accent_subdued": "var(--ls-line)",
    "block_background_fill": "transparent",
    "block_border_color": "var(--ls-line)",
    "block_info_text_color": "var(--ls-muted)",
    "block_label_text_color": "var(--ls-muted)",
    "block_label_background_fill": "transparent",
    "block_title_text_color": "var(--ls-muted)",
    "panel_background_fill": "transparent",
    "input_background_fill": "var(--ls-field)",
    "input_background_fill_focus": "var(--ls-field)",
    "input_border_color": "var(--ls-edge)",
    "input_border_color_focus": "var(--ls-accent)",
    "input_placeholder_color": "var(--ls-faint)",
    "slider_color": "var(--ls-accent)",
    "loader_color": "var(--ls-accent)",
    "checkbox_background_color": "var(--ls-field)",
    "checkbox_background_color_selected": "var(--ls-accent)",
    "checkbox_border_color": "var(--ls-edge)",
    "checkbox_border_color_selected": "var(--ls-accent)",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_hover": "var(--ls-hover)",
    "checkbox_label_background_fill_selected": "var(--ls-surface)",
    "checkbox_label_text_color": "var(--ls-ink)",
    "checkbox_label_text_color_selected": "var(--ls-ink)",
    "button_primary_background_fill": "var(--ls-accent)",
    "button_primary_background_fill_hover": "var(--ls-accent-strong)",
    "button_primary_border_color": "transparent",
    "button_primary_text_color": "var(--ls-on-accent)",
    "button_secondary_background_fill": "var(--ls-surface)",
    "button_secondary_background_fill_hover": "var(--ls-hover)",
    "button_secondary_border_color": "var(--ls-edge)",
    "button_secondary_text_color": "var(--ls-ink)",
    "button_cancel_background_fill": "var(--ls-danger)",
    "button_cancel_background_fill_hover": "var(--ls-danger)",
    "button_cancel_border_color": "transparent",
    "button_cancel_text_color": "var(--ls-surface)",
    "error_background_fill": "var(--ls-danger-soft)",
    "error_border_color": "var(--ls-danger)",
    "error_text_color": "var(--ls-danger)",
}

_SIZES = {
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0px",
    "block_title_text_size": "13px",
    "block_title_text_weight": "700",
    "block_label_text_size": "13px",
    "block_info_text_size": "12.5px",
    "panel_border_width": "0px",
    "input_border_width": "1px",
    "input_radius": "8px",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 3px var(--ls-ring)",
    "input_text_size": "14.5px",
    "input_padding": "9px 12px",
    "container_radius": "8px",
    "layout_gap": "14px",
    "form_gap_width": "0px",
    "button_large_radius": "8px",
    "button_medium_radius": "8px",
    "button_small_radius": "8px",
    "button_border_width": "1px",
    "button_primary_shadow": "none",
    "button_secondary_shadow": "none",
}


def theme() -> gr.themes.Base:
    """Roles over the palette's variables, the same in light and dark."""
    base = gr.themes.Base(
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui"),
        font_mono=(gr.themes.LocalFont("IBM Plex Mono", weights=(400,)), "monospace"),
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
    )
    known = base.__dict__
    dark = {f"{name}_dark": value for name, value in _ROLES.items() if f"{name}_dark" in known}
    return base.set(**_ROLES, **dark, **_SIZES)
