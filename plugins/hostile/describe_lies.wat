;; Describes itself without a name.
(func (export "describe") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (i32.const 1024))
