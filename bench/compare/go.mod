module openmediator/bench/compare

go 1.26.0

replace openmediator => ../..
