//! exit_code
