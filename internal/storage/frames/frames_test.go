package frames

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A frame is the latest that is not behind the last, in the view's generation, of whichever
// page; and it is found in few steps, however often the page was written since.
func TestFramesOfAnyMomentAreFoundInFewSteps(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x := New(16)
	for generation := uint32(1); generation < 4; generation++ {
		const most = 20_000
		written := map[uint32][]uint32{} // by page
		for frame := uint32(1); frame <= most; frame++ {
			page := uint32(1)
			if random.IntN(4) == 0 {
				page = 2 + random.Uint32N(50)
			}
			x.Add(page, frame, generation)
			written[page] = append(written[page], frame)
		}
		for page, frames := range written {
			require.Zero(t, x.Find(page, generation-1, most))
			require.Zero(t, x.Find(page, generation, frames[0]-1))
			for i, frame := range frames {
				require.Equal(t, frame, x.Find(page, generation, frame))
				if i+1 < len(frames) {
					require.Equal(t, frame, x.Find(page, generation, frames[i+1]-1))
				}
				steps := 0
				for at := frames[len(frames)-1]; at > frame; at = x.former.Load().back(at, frame) {
					steps++
				}
				require.LessOrEqual(t, steps, 3*bits.Len(uint(len(frames))))
			}
		}
	}
}
