//! Constructors and setters on the generated types. There is no second set of types: what is made here goes anywhere.

mod attribute;
mod batch;
mod event;
