;; Refuses every configuration with one finding, which tries to move the cursor.
(data (i32.const 1024)
  "\01\00\00\00"                  ;; an error
  "\0c\04\00\00\01\00\00\00"      ;; one finding, at 1036
  "\00\08\00\00\06\00\00\00"      ;; file
  "\03\00\00\00\04\00\00\00"      ;; line, column
  "\06\08\00\00\0a\00\00\00")     ;; message, then no hint
(data (i32.const 2048) "a.yaml" "bad\1b[2Jkey")
(func (export "describe") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (i32.const 1024))
