;; Does what the first byte of each record says, so that good and bad records mix in one batch.
;;
;;   o         one row                             l  loops for ever
;;   b <u32>   loops so often, then one row        w  copies memory for ever
;;   n         one row: the bits of a NaN          u  executes `unreachable`
;;   s         one row: calls seen so far          r  calls itself for ever
;;   y         one row: what lies in fresh memory  m  grows its memory for ever
;;   f <text>  filtered, for the text              t  grows its table for ever
;;   g <u32>   so many rows                        e <text>  `transform` returns the text as an error
;;   k <text>  logs the text 1,000 times, one row  z  logs a megabyte, then `unreachable`
;;   q <u32>   filtered, for so many zero bytes    p  filtered, for a text outside of memory
;;   i         a row of a record not in the batch  d  a verdict that does not exist
;;   c         one verdict too many                a  a misaligned answer
(import "silversmith:extractor/log@0.1.0" "log" (func $log (param i32 i32 i32)))
(table 1 funcref)
(global $calls (mut i64) (i64.const 0))
(global $rows (mut i32) (i32.const 0))
(global $indexes (mut i32) (i32.const 0))
(global $ids (mut i32) (i32.const 0))

(func $recurse (param i32) (result i32)
  (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

(func $row (param $index i32) (param $id i64)
  (i32.store (i32.add (global.get $indexes) (i32.mul (global.get $rows) (i32.const 4))) (local.get $index))
  (i64.store (i32.add (global.get $ids) (i32.mul (global.get $rows) (i32.const 8))) (local.get $id))
  (global.set $rows (i32.add (global.get $rows) (i32.const 1))))

(func $grow-to (param $bytes i32)
  (if (i32.eq (memory.grow (i32.add (i32.shr_u (local.get $bytes) (i32.const 16)) (i32.const 1))) (i32.const -1))
    (then unreachable)))

(func (export "transform")
  (param $offsets i32) (param $n i32) (param $payload i32) (param i32 i32 i32 i32 i32 i32) (result i32)
  (local $i i32) (local $at i32) (local $length i32) (local $do i32) (local $number i32) (local $verdict i32)
  (local $verdicts i32) (local $extra i32) (local $answer i32)
  (local.set $answer (i32.const 256))
  (local.set $n (i32.sub (local.get $n) (i32.const 1)))

  ;; Room for the rows: one a record, and those that `g` asks for.
  (local.set $number (local.get $n))
  (block $counted
    (loop $next
      (br_if $counted (i32.eq (local.get $i) (local.get $n)))
      (local.set $at
        (i32.add (local.get $payload) (i32.load (i32.add (local.get $offsets) (i32.mul (local.get $i) (i32.const 4))))))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x67))
        (then (local.set $number (i32.add (local.get $number) (i32.load offset=1 (local.get $at))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (global.set $indexes
    (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.mul (local.get $number) (i32.const 4))))
  (global.set $ids
    (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.mul (local.get $number) (i32.const 8))))
  (local.set $verdicts
    (call $alloc (i32.const 0) (i32.const 0) (i32.const 4)
      (i32.mul (i32.add (local.get $n) (i32.const 1)) (i32.const 80))))

  (local.set $i (i32.const 0))
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $i) (local.get $n)))
      (local.set $at (i32.add (local.get $offsets) (i32.mul (local.get $i) (i32.const 4))))
      (local.set $length (i32.sub (i32.load offset=4 (local.get $at)) (i32.load (local.get $at))))
      (local.set $at (i32.add (local.get $payload) (i32.load (local.get $at))))
      (local.set $verdict (i32.add (local.get $verdicts) (i32.mul (local.get $i) (i32.const 80))))
      (local.set $do (i32.const 0))
      (if (local.get $length) (then (local.set $do (i32.load8_u (local.get $at)))))

      (if (i32.eq (local.get $do) (i32.const 0x6f)) ;; o
        (then (call $row (local.get $i) (i64.const 7))))
      (if (i32.eq (local.get $do) (i32.const 0x62)) ;; b
        (then
          (local.set $number (i32.load offset=1 (local.get $at)))
          (block $burnt
            (loop $burn
              (br_if $burnt (i32.eqz (local.get $number)))
              (local.set $number (i32.sub (local.get $number) (i32.const 1)))
              (br $burn)))
          (call $row (local.get $i) (i64.const 7))))
      (if (i32.eq (local.get $do) (i32.const 0x6e)) ;; n
        (then
          (call $row (local.get $i)
            (i64.reinterpret_f64
              (f64.add (f64.reinterpret_i64 (i64.const 0xfff4_0000_dead_beef)) (f64.const 1))))))
      (if (i32.eq (local.get $do) (i32.const 0x73)) ;; s
        (then (call $row (local.get $i) (global.get $calls))))
      (if (i32.eq (local.get $do) (i32.const 0x79)) ;; y
        (then
          (local.set $number (i32.mul (memory.size) (i32.const 65536)))
          (call $grow-to (i32.const 1000000))
          (call $row (local.get $i)
            (i64.add (i64.load (i32.const 60000)) (i64.load offset=900000 (local.get $number))))
          (i64.store (i32.const 60000) (i64.const -1))
          (i64.store offset=900000 (local.get $number) (i64.const -1))))
      (if (i32.eq (local.get $do) (i32.const 0x66)) ;; f
        (then
          (i32.store8 (local.get $verdict) (i32.const 1))
          (i32.store offset=4 (local.get $verdict) (i32.add (local.get $at) (i32.const 1)))
          (i32.store offset=8 (local.get $verdict) (i32.sub (local.get $length) (i32.const 1)))))
      (if (i32.eq (local.get $do) (i32.const 0x67)) ;; g
        (then
          (local.set $number (i32.load offset=1 (local.get $at)))
          (block $enough
            (loop $more
              (br_if $enough (i32.eqz (local.get $number)))
              (call $row (local.get $i) (i64.const 7))
              (local.set $number (i32.sub (local.get $number) (i32.const 1)))
              (br $more)))))
      (if (i32.eq (local.get $do) (i32.const 0x6b)) ;; k
        (then
          (local.set $number (i32.const 1000))
          (loop $more
            (call $log (i32.const 2) (i32.add (local.get $at) (i32.const 1)) (i32.sub (local.get $length) (i32.const 1)))
            (local.set $number (i32.sub (local.get $number) (i32.const 1)))
            (br_if $more (local.get $number)))
          (call $row (local.get $i) (i64.const 7))))
      (if (i32.eq (local.get $do) (i32.const 0x71)) ;; q
        (then
          (local.set $number (i32.mul (memory.size) (i32.const 65536)))
          (call $grow-to (i32.load offset=1 (local.get $at)))
          (i32.store8 (local.get $verdict) (i32.const 1))
          (i32.store offset=4 (local.get $verdict) (local.get $number))
          (i32.store offset=8 (local.get $verdict) (i32.load offset=1 (local.get $at)))))
      (if (i32.eq (local.get $do) (i32.const 0x70)) ;; p
        (then
          (i32.store8 (local.get $verdict) (i32.const 1))
          (i32.store offset=4 (local.get $verdict) (i32.const -16))
          (i32.store offset=8 (local.get $verdict) (i32.const 100))))
      (if (i32.eq (local.get $do) (i32.const 0x64)) ;; d
        (then (i32.store8 (local.get $verdict) (i32.const 9))))
      (if (i32.eq (local.get $do) (i32.const 0x69)) ;; i
        (then (call $row (local.get $n) (i64.const 7))))
      (if (i32.eq (local.get $do) (i32.const 0x63)) ;; c
        (then (local.set $extra (i32.const 1))))
      (if (i32.eq (local.get $do) (i32.const 0x61)) ;; a
        (then (local.set $answer (i32.const 257))))
      (if (i32.eq (local.get $do) (i32.const 0x65)) ;; e
        (then
          (i32.store (i32.const 256) (i32.const 1))
          (i32.store (i32.const 260) (i32.add (local.get $at) (i32.const 1)))
          (i32.store (i32.const 264) (i32.sub (local.get $length) (i32.const 1)))
          (return (i32.const 256))))
      (if (i32.eq (local.get $do) (i32.const 0x6c)) ;; l
        (then (loop $ever (br $ever))))
      (if (i32.eq (local.get $do) (i32.const 0x77)) ;; w
        (then (loop $ever (memory.copy (i32.const 8192) (i32.const 8193) (i32.const 40000)) (br $ever))))
      (if (i32.eq (local.get $do) (i32.const 0x75)) ;; u
        (then unreachable))
      (if (i32.eq (local.get $do) (i32.const 0x7a)) ;; z
        (then
          (local.set $number (i32.mul (memory.size) (i32.const 65536)))
          (call $grow-to (i32.const 1000000))
          (memory.fill (local.get $number) (i32.const 0x78) (i32.const 1000000))
          (call $log (i32.const 3) (local.get $number) (i32.const 1000000))
          unreachable))
      (if (i32.eq (local.get $do) (i32.const 0x72)) ;; r
        (then (drop (call $recurse (i32.const 0)))))
      (if (i32.eq (local.get $do) (i32.const 0x6d)) ;; m
        (then (loop $ever (drop (memory.grow (i32.const 16))) (br $ever))))
      (if (i32.eq (local.get $do) (i32.const 0x74)) ;; t
        (then (loop $ever (drop (table.grow (ref.null func) (i32.const 100))) (br $ever))))

      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))

  (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
  (i32.store (i32.const 260) (local.get $verdicts))
  (i32.store (i32.const 264) (i32.add (local.get $n) (local.get $extra)))
  (if (global.get $rows)
    (then
      (i32.store (i32.const 268) (i32.const 300))
      (i32.store (i32.const 272) (i32.const 1))
      (i32.store (i32.const 304) (global.get $indexes))
      (i32.store (i32.const 308) (global.get $rows))
      (i32.store (i32.const 324) (i32.const 400))
      (i32.store (i32.const 328) (i32.const 1))
      (i32.store (i32.const 400) (i32.const 1)) ;; int64
      (i32.store (i32.const 404) (global.get $ids))
      (i32.store (i32.const 408) (global.get $rows))))
  (local.get $answer))
