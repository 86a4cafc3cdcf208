//! Service tiers, in the words that this API has.

use tollgate_filters::chat::{At, Losses};

/// The word for a tier. `own` says that it was read from this dialect; `None` (and a loss) where there is none.
pub fn word<'a>(tier: &'a At<String>, own: bool, losses: &mut Losses) -> Option<&'a str> {
    match tier.value.as_str() {
        word @ ("auto" | "default" | "flex" | "scale" | "priority" | "fast" | "ultrafast") => Some(word),
        word if own => Some(word),
        // Groq's word for the usual one.
        "on_demand" => Some("default"),
        _ => {
            losses.unsupported(&tier.at);
            None
        }
    }
}
