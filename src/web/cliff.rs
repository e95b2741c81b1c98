//! The loss cliff, for a picture: the surface, a cross-section, and two ways down.

use super::{error, set, value};
use crate::error::Result;
use crate::lens::cliff::{Point, WINDOW, fixed_point, folds, wall};
use crate::options::{Fields, Kind, Value};
use js_sys::Float64Array;
use wasm_bindgen::prelude::*;

/// Points of the surface, along b and along w.
const GRID: [usize; 2] = [100, 120];

/// Points of the cross-section, and of the curve of fixed points.
const SECTION: usize = 300;

/// Updates of a descent.
const UPDATES: usize = 80;

/// States of the fixed points that the picture has room for.
const STATES: [f64; 2] = [-4.5, 6.0];

/// The loss of a network of one unit as a surface over its two parameters, with a cross-section, and the ways of plain and of clipped
/// gradient descent. Throws when a field cannot be used.
#[wasm_bindgen(unchecked_return_type = "Cliff")]
pub fn cliff(
    #[wasm_bindgen(unchecked_param_type = "CliffQuery")] query: JsValue,
) -> std::result::Result<JsValue, JsValue> {
    let [w, b, rate, threshold] = read(value::read(&query)).map_err(|e| error(&e))?;
    let start = Point::at(w, b);
    let [rows, columns] = GRID;
    let mut series = [const { Vec::new() }; 7];
    let [loss, norm, section, fixed, marks, plain, clipped] = &mut series;
    for at in 0..rows * columns {
        let point = Point::at(middle(WINDOW[0], at % columns, columns), middle(WINDOW[1], at / columns, rows));
        loss.push(point.loss);
        norm.push(point.norm());
    }
    for at in 0..SECTION {
        let point = Point::at(w, middle(WINDOW[1], at, SECTION));
        section.extend_from_slice(&[point.b, point.state, point.loss]);
        let h = middle(STATES, at, SECTION);
        let [b, slope] = fixed_point(w, h);
        fixed.extend_from_slice(&[b, h, slope]);
    }
    if let Some([upper, lower]) = folds(w) {
        marks.extend_from_slice(&[upper[0], upper[1], lower[0], lower[1], wall(w)]);
    }
    for (way, threshold) in [(plain, f64::INFINITY), (clipped, threshold)] {
        for point in start.descend(rate, threshold, UPDATES) {
            way.extend_from_slice(&[point.w, point.b, point.loss, point.norm()]);
        }
    }
    let object: JsValue = js_sys::Object::new().into();
    set(&object, "window", &Float64Array::from(WINDOW.as_flattened()));
    set(&object, "grid", &Float64Array::from([rows as f64, columns as f64].as_slice()));
    for (name, values) in ["loss", "norm", "section", "fixed", "marks", "plain", "clipped"].iter().zip(&series) {
        set(&object, name, &Float64Array::from(values.as_slice()));
    }
    Ok(object)
}

/// The middle of one of `n` equal parts of a range.
#[inline(never)]
fn middle([low, high]: [f64; 2], at: usize, n: usize) -> f64 {
    low + (high - low) * (at as f64 + 0.5) / n as f64
}

/// Reads `{ w?, b?, rate?, threshold? }`.
fn read(object: Value) -> Result<[f64; 4]> {
    let mut fields = Fields::new("query", object)?;
    let [[min_w, max_w], [min_b, max_b]] = WINDOW;
    let mut query = [0.0; 4];
    for (to, (name, min, max, default)) in query.iter_mut().zip([
        ("w", min_w, max_w, 5.9),
        ("b", min_b, max_b, -2.6),
        ("rate", 1e-3, 100.0, 0.5),
        ("threshold", 1e-3, 1e3, 0.1),
    ]) {
        let value = fields.read(name, Kind::Number { min, max, default, log: false })?;
        *to = if let Value::Number(number) = value { number } else { default };
    }
    fields.finish()?;
    Ok(query)
}
