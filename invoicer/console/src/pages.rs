//! The pages, one file each, in the order of the way around.

pub(crate) mod home;

pub(crate) mod actions;
pub(crate) mod bill;
pub(crate) mod bills;
pub(crate) mod export;
pub(crate) mod line;

mod chart;
pub(crate) mod customer;
pub(crate) mod customers;

pub(crate) mod audit;
pub(crate) mod catalog;
pub(crate) mod leaks;

pub(crate) mod search;
pub(crate) mod sign_in;
