//! Runs plugins: components without capabilities, metered, whose every answer is checked.
