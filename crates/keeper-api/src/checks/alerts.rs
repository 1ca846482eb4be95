//! `kind: alerts`: which further alerts are about this service.

use super::fields::{Field, Fields, Form, field};
use super::pace;
use crate::invalid::Invalid;
use crate::matchers;

pub(crate) const KIND: &str = "alerts";

pub(crate) const FIELDS: &[Field] = &[field(
    "matchers",
    Form::Texts,
    "Matchers as Alertmanager writes them, like {team=\"shop\", severity=~\"page|ticket\"}, or a list of them. An alert that fits all of them counts as one about this service. Required.",
)];

/// Its matchers, one each.
pub(super) fn read(fields: &Fields<'_>) -> Result<Vec<String>, Invalid> {
    const EXAMPLE: &str = r#"'{team="shop", severity="page"}'"#;
    fields.refuse_unknown(&[&[pace::KIND, pace::NAME], FIELDS])?;
    let text = fields.lines("matchers", 4_096, EXAMPLE)?.ok_or_else(|| fields.missing("matchers", EXAMPLE))?;
    let fix = format!("write it like matchers: {EXAMPLE}");
    let matchers = matchers::split_list(&text).map_err(|problem| fields.invalid("matchers", problem, &fix))?;
    if matchers.is_empty() {
        return Err(fields.invalid("matchers", "has no matcher, so that every alert would count", fix));
    }
    Ok(matchers)
}
