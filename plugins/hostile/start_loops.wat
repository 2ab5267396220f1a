;; Loops before anything is asked of it.
(func $start (loop $ever (br $ever)))
(start $start)
