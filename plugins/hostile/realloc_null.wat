;; Gives address 0 to whoever asks for memory, so that all that it is told overlaps.
(func $alloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
