//! The next update, in numbers, before it is made.

use super::inspection::Inspection;
use super::vectors::{add, norm};
use crate::error::{Error, Result};
use crate::train::Session;

/// On the next training batch: `loss` `[2]` and `accuracy` `[2]` before and after the update, `norm` `[1]` of the gradient before
/// clipping, `coefficient` `[1]` that clipping multiplies it by, `clipped` `[1]` 1 when that changes it. Per parameter p, in the
/// order of `header.names`: `gradients` `[P]` is ‖∂L/∂p‖ before clipping, `changes` ‖Δp‖, `lengths` ‖p‖ before. The update is taken
/// back.
///
/// # Errors
/// [`Error::Unavailable`] when a number of the step is not finite.
#[inline(never)]
pub(super) fn update(session: &mut Session, to: &mut Inspection) -> Result<()> {
    let step = session.rehearse().map_err(|diverged| Error::unavailable("the next update", diverged.message))?;
    to.name_parameters(session);
    to.header.sequences = session.config().batch;
    to.add("loss", "L", &[2], &[step.report.loss, step.after[0]]);
    to.add("accuracy", "right", &[2], &[step.report.accuracy, step.after[1]]);
    to.add("norm", "‖g‖", &[1], &[step.report.norm]);
    to.add("coefficient", "c", &[1], &[step.report.coefficient]);
    to.add("clipped", "clipped", &[1], &[f64::from(u8::from(step.report.clipped))]);
    let [gradient, before, mut after] = step.vectors;
    let lengths = norms(session, &before);
    add(&mut after, -1.0, &before);
    let values = [norms(session, &gradient), norms(session, &after), lengths];
    for ((id, title), values) in
        [("gradients", "‖∂L/∂p‖"), ("changes", "‖Δp‖"), ("lengths", "‖p‖")].into_iter().zip(values)
    {
        to.add(id, title, &[values.len()], &values);
    }
    Ok(())
}

/// ‖·‖₂ of each parameter's part of a flat vector.
#[inline(never)]
fn norms(session: &Session, flat: &[f64]) -> Vec<f64> {
    session.parameters().iter().map(|parameter| norm(&flat[parameter.offset..][..parameter.len()])).collect()
}
