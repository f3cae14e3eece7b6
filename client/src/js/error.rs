//! Errors for JavaScript, and exceptions of the page's functions.

use std::cell::RefCell;

use js_sys::Error;
use wasm_bindgen::JsValue;

use crate::RecorderError;
#[cfg(feature = "js-requests")]
use crate::browser::json;
#[cfg(feature = "js-requests")]
use crate::browser::object::property;
use crate::browser::object::set;

thread_local! {
    /// Exception that the page's `getToken` threw last; `undefined` after a success.
    static SIGN_IN_CAUSE: RefCell<JsValue> = const { RefCell::new(JsValue::UNDEFINED) };
}

/// Remembers the exception of `getToken`, or forgets it (`undefined`).
#[cfg(feature = "js-requests")]
pub(super) fn set_sign_in_cause(cause: JsValue) {
    SIGN_IN_CAUSE.set(cause);
}

/// Returns the exception of the last call of `getToken`, or `undefined`.
pub(super) fn sign_in_cause() -> JsValue {
    SIGN_IN_CAUSE.with_borrow(Clone::clone)
}

/// Returns a real `Error`: consoles show it with its stack. `signed_out` has the exception of `getToken` as its cause.
pub(super) fn error(error: &RecorderError) -> JsValue {
    let value = Error::new(&error.to_string());
    value.set_name("RecorderError");
    let code = error.code();
    set(&value, "code", &code.name().into());
    set(&value, "retryable", &code.is_retryable().into());
    match error {
        RecorderError::SignedOut => {
            let cause = sign_in_cause();
            if !cause.is_undefined() {
                set(&value, "cause", &cause);
            }
        }
        #[cfg(feature = "js-requests")]
        RecorderError::Refused(refusal) => {
            set(&value, "status", &refusal.status.into());
            if let Some(seconds) = refusal.retry_after_s {
                set(&value, "retryAfter", &seconds.into());
            }
            if let Some(problem) = refusal.problem.as_deref().and_then(json::object) {
                set(&value, "problem", &problem);
            }
        }
        _ => {}
    }
    value.into()
}

/// Calls a function of the page. The page's own error handling gets what it throws.
#[cfg(feature = "js-requests")]
pub(super) fn call(function: &js_sys::Function, argument: &JsValue) {
    use wasm_bindgen::JsCast as _;

    let Err(exception) = function.call1(&JsValue::UNDEFINED, argument) else {
        return;
    };
    let global = js_sys::global();
    let report = property(&global, "reportError");
    if let Some(report) = report.and_then(|it| it.dyn_into::<js_sys::Function>().ok()) {
        let _cannot_be_reported = report.call1(&global, &exception);
    }
}
