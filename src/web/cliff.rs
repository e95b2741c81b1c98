//! The loss cliff, for a picture: the surface, a cross-section, and two ways down.

use super::{error, set, value};
use crate::error::Result;
use crate::lens::cliff::{Point, WINDOW, fixed_point, folds, wall};
use crate::options::{Fields, Kind, Value};
use js_sys::Float64Array;
use wasm_bindgen::prelude::*;

/// Points of the surface, along b and along w.
const GRID: [usize; 2] = [150, 180];

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
    let mut surface = [const { Vec::new() }; 2];
    for at in 0..rows * columns {
        let point = Point::at(middle(WINDOW[0], at % columns, columns), middle(WINDOW[1], at / columns, rows));
        surface[0].push(point.loss);
        surface[1].push(point.norm());
    }
    let mut section = [const { Vec::new() }; 2];
    for at in 0..SECTION {
        let point = Point::at(w, middle(WINDOW[1], at, SECTION));
        section[0].extend([point.b, point.state, point.loss]);
        let h = middle(STATES, at, SECTION);
        let [b, slope] = fixed_point(w, h);
        section[1].extend([b, h, slope]);
    }
    let way = |threshold: f64| -> Vec<f64> {
        let points = start.descend(rate, threshold, UPDATES);
        points.iter().flat_map(|point| [point.w, point.b, point.loss, point.norm()]).collect()
    };
    let marks = folds(w).map_or(Vec::new(), |folds| {
        let mut marks = folds.concat();
        marks.push(wall(w));
        marks
    });
    let object: JsValue = js_sys::Object::new().into();
    let [loss, norm] = surface;
    let [section, fixed] = section;
    for (name, values) in [
        ("window", WINDOW.concat()),
        ("grid", vec![rows as f64, columns as f64]),
        ("loss", loss),
        ("norm", norm),
        ("section", section),
        ("fixed", fixed),
        ("marks", marks),
        ("plain", way(f64::INFINITY)),
        ("clipped", way(threshold)),
    ] {
        set(&object, name, &Float64Array::from(values.as_slice()));
    }
    Ok(object)
}

/// The middle of one of `n` equal parts of a range.
fn middle([low, high]: [f64; 2], at: usize, n: usize) -> f64 {
    low + (high - low) * (at as f64 + 0.5) / n as f64
}

/// Reads `{ w?, b?, rate?, threshold? }`.
fn read(object: Value) -> Result<[f64; 4]> {
    let mut fields = Fields::new("query", object)?;
    let [[min_w, max_w], [min_b, max_b]] = WINDOW;
    let mut number = |name: &str, min: f64, max: f64, default: f64| -> Result<f64> {
        match fields.read(name, Kind::Number { min, max, default, log: false })? {
            Value::Number(number) => Ok(number),
            _ => Ok(default),
        }
    };
    let query = [
        number("w", min_w, max_w, 5.9)?,
        number("b", min_b, max_b, -2.6)?,
        number("rate", 1e-3, 100.0, 0.5)?,
        number("threshold", 1e-3, 1e3, 0.1)?,
    ];
    fields.finish()?;
    Ok(query)
}
