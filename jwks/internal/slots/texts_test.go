package slots

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestTextsOfEverySize(t *testing.T) {
	var texts Texts
	defer texts.Close()
	var numbers []uint32
	sizes := []int{0, 1, 14, 15, 16, 30, 31, 32, 62, 63, 64, 125, 126, 127, 128, 129, 253, 254, 255, 1000, 65000, MaxText}
	for _, size := range sizes {
		numbers = append(numbers, texts.Put(bytes.Repeat([]byte{byte(size) | 1}, size)))
	}
	for i, size := range sizes {
		if got := texts.At(numbers[i]); numbers[i] == 0 || !bytes.Equal(got, bytes.Repeat([]byte{byte(size) | 1}, size)) {
			t.Errorf("a text of %d bytes reads as %d bytes", size, len(got))
		}
	}
	for size, want := range map[int]int{
		0: 16, 15: 16, 16: 32, 31: 32, 32: 48, 47: 48, 48: 64, 63: 64, 64: 96, 127: 128, 128: 192, 254: 256, 255: 512, MaxText: largestSlot,
	} {
		number := texts.Put(make([]byte, size))
		if got := len(texts.classes[number>>numberBits].bytes(0)); got != want {
			t.Errorf("a text of %d bytes uses a slot of %d", size, got)
		}
	}
	if texts.At(0) != nil {
		t.Error("number 0 is not empty")
	}
	texts.Drop(0)
}

// Compare with a map.
func TestTextsAgainstMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	var texts Texts
	defer texts.Close()
	model := map[uint32][]byte{}
	for step := range 20000 {
		for number, want := range model { // any
			if !bytes.Equal(texts.At(number), want) {
				t.Fatalf("step %d: a text changed", step)
			}
			if random.IntN(2) == 0 {
				texts.Drop(number)
				delete(model, number)
			}
			break
		}
		text := make([]byte, random.IntN(300))
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		number := texts.Put(text)
		if _, used := model[number]; used {
			t.Fatalf("step %d: number %d is used twice", step, number)
		}
		model[number] = text
	}
	if texts.Len() != len(model) {
		t.Errorf("%d texts, want %d", texts.Len(), len(model))
	}
}
