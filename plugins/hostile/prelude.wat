;; What a hostile plugin does not say itself: a plain memory, allocator, descriptor and configuration.
;; The part under a `;; part: X` line is left out where the plugin's own text mentions `"X"`.

;; part: memory
(memory (export "memory") 2)

;; part: cabi_realloc
(global $top (mut i32) (i32.const 65536))
(func $alloc (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
  (local $start i32)
  (local.set $start
    (i32.and
      (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
  (global.set $top (i32.add (local.get $start) (local.get $size)))
  (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
    (then
      (if (i32.eq
            (memory.grow
              (i32.shr_u
                (i32.add
                  (i32.sub (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
                  (i32.const 65535))
                (i32.const 16)))
            (i32.const -1))
        (then unreachable))))
  (local.get $start))

;; part: describe
;; One output for the entity `thing`, with the one field `id: int64`.
(data (i32.const 1028)
  "\00\08\00\00\07\00\00\00"      ;; name
  "\07\08\00\00\01\00\00\00"      ;; version
  "\4c\04\00\00\01\00\00\00")     ;; outputs, at 1100
(data (i32.const 1100)
  "\08\08\00\00\05\00\00\00"      ;; entity
  "\00\00\00\00"                  ;; on-error: record
  "\74\04\00\00\01\00\00\00")     ;; fields, at 1140
(data (i32.const 1140)
  "\0d\08\00\00\02\00\00\00"      ;; name
  "\01\00\00\00")                 ;; int64
(data (i32.const 2048) "hostile" "1" "thing" "id")
(func (export "describe") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (i32.const 1024))

;; part: configure
(func (export "configure") (param i32 i32) (result i32)
  (i32.const 16))

;; part: transform
;; Every record is transformed and yields nothing.
(func (export "transform")
  (param $offsets i32) (param $n i32) (param i32 i32 i32 i32 i32 i32 i32) (result i32)
  (local.set $n (i32.sub (local.get $n) (i32.const 1)))
  (i32.store (i32.const 260)
    (call $alloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $n) (i32.const 80))))
  (i32.store (i32.const 264) (local.get $n))
  (i32.const 256))
