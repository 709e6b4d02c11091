module hybrid/interop

go 1.26.0
