/*
 * A small driver for an NE2000 at port 300h, for real mode (BITS=16) and for flat 32-bit code; by National's DP8390D
 * data sheet.  It answers frames of EtherType 88B5h, adds up the words of those of 88B6h, and ends at 88B7h.  It halts
 * when it is ready, and at the end; also at every other frame, with its length in TAKEN, and after it has sent a frame
 * that whoever runs this has put there with its length in GIVEN.
 *
 * The bytes in ne2000_unicorn.py are this file's:
 *     gcc -m32 -DBITS=16 -c ne2000_unicorn.S -o code.o && objcopy -O binary -j .text code.o code.bin
 */
	.equ	BASE, 0x300
	.equ	CR, BASE
	.equ	PSTART, BASE+1
	.equ	PSTOP, BASE+2
	.equ	BNRY, BASE+3
	.equ	TPSR, BASE+4
	.equ	TBCR0, BASE+5
	.equ	TBCR1, BASE+6
	.equ	CURR, BASE+7		# page 1
	.equ	ISR, BASE+7
	.equ	RSAR0, BASE+8
	.equ	RSAR1, BASE+9
	.equ	RBCR0, BASE+10
	.equ	RBCR1, BASE+11
	.equ	RCR, BASE+12
	.equ	TCR, BASE+13
	.equ	DCR, BASE+14
	.equ	IMR, BASE+15
	.equ	DATA, BASE+16
	.equ	RESET, BASE+31
	.equ	FIRST, 0x46		# pages 40h to 45h hold what is sent, the ring has the rest
	.equ	END, 0x80
	.equ	FRAMES, 0x800		# results, for whoever runs this
	.equ	BYTES, 0x804
	.equ	SUM, 0x808
	.equ	SENT, 0x80c
	.equ	MAC, 0x810
	.equ	TAKEN, 0x816
	.equ	GIVEN, 0x818
	.equ	HEADER, 0x820
	.equ	FRAME, 0x2000
	.macro	put port, value
	mov	$\port, %dx
	mov	$\value, %al
	out	%al, %dx
	.endm
	.macro	get port
	mov	$\port, %dx
	in	%dx, %al
	.endm
	.macro	await port, bits
9:	get	\port
	test	$\bits, %al
	jz	9b
	.endm
#if BITS == 16
	.code16
#define R(x) %x
#define INS rep insw
#define OUTS rep outsw
#define LODS lodsw
	.equ	SIZE, 2
	.equ	SHIFT, 1
#else
	.code32
#define R(x) %e##x
#define INS rep insl
#define OUTS rep outsl
	.equ	SIZE, 4
	.equ	SHIFT, 2
#endif

start:	cld
	get	RESET
	out	%al, %dx
	await	ISR, 0x80		# RST
	put	CR, 0x21		# stop, page 0
	put	DCR, 0x49		# words, no loopback, FIFO threshold of 8 bytes
	put	RBCR0, 0
	put	RBCR1, 0
	put	RCR, 0x20		# monitor
	put	TCR, 0x02		# loopback
	put	PSTART, FIRST
	put	BNRY, FIRST
	put	PSTOP, END
	put	ISR, 0xff
	put	IMR, 0
	put	CR, 0x22		# start: the PROM can be read
	xor	%bx, %bx
	mov	$32, R(cx)
	mov	$FRAME, R(di)
	call	fetch
	put	CR, 0x61		# stop, page 1
	mov	$FRAME, R(si)
	mov	$MAC, R(di)
	mov	$PSTART, %dx		# PAR0
	mov	$6, R(cx)
1:	lodsw				# the PROM has each byte twice
	out	%al, %dx
	stosb
	inc	%dx
	loop	1b
	put	CURR, FIRST+1
	mov	$BASE+8, %dx		# MAR0: no groups
	mov	$8, R(cx)
	xor	%al, %al
2:	out	%al, %dx
	inc	%dx
	loop	2b
	put	CR, 0x22		# start, page 0
	put	TCR, 0
	put	RCR, 0x04		# own address and broadcasts
	mov	$FIRST+1, %bh		# BH: the page to read next
	hlt				# ready
	jmp	look

wait:	await	ISR, 0x01		# PRX
	put	ISR, 0x01
look:	cmpw	$0, GIVEN
	jne	give
	put	CR, 0x62		# page 1
	get	CURR
	mov	%al, %ah
	put	CR, 0x22		# page 0
	cmp	%ah, %bh
	je	wait
	xor	%bl, %bl
	mov	$4, R(cx)
	mov	$HEADER, R(di)
	call	fetch
	mov	$4, %bl
	xor	R(cx), R(cx)
	mov	HEADER+2, %cx
	sub	$4, R(cx)		# without CRC
	add	%cx, BYTES
	adcw	$0, BYTES+2
	push	R(cx)
	mov	$FRAME, R(di)
	call	fetch
	pop	R(cx)
	incw	FRAMES
	mov	HEADER+1, %bh
	mov	%bh, %al		# the page before it is free now
	cmp	$FIRST, %al
	jne	3f
	mov	$END, %al
3:	dec	%al
	mov	$BNRY, %dx
	out	%al, %dx
	mov	FRAME+12, %ax
	cmp	$0xb588, %ax		# 88B5h: back to its sender
	je	answer
	cmp	$0xb688, %ax		# 88B6h: add it up
	je	add
	cmp	$0xb788, %ax		# 88B7h: the end
	je	end
	mov	%cx, TAKEN
end:	hlt
	jmp	look

add:	mov	$FRAME, R(si)
	shr	$1, R(cx)
	xor	%dx, %dx
4:	lodsw
	add	%ax, %dx
	loop	4b
	add	%dx, SUM
	jmp	look

answer:	push	R(cx)
	mov	$FRAME+6, R(si)
	mov	$FRAME, R(di)
	mov	$3, R(cx)
	rep movsw
	mov	$MAC, R(si)
	mov	$3, R(cx)
	rep movsw
	pop	R(cx)
	call	send
	incw	SENT
	jmp	look

give:	xor	R(cx), R(cx)
	xchg	GIVEN, %cx
	call	send
	hlt
	jmp	look

send:	mov	$TBCR0, %dx		# CX bytes at FRAME
	mov	%cl, %al
	out	%al, %dx
	inc	%dx
	mov	%ch, %al
	out	%al, %dx
	put	TPSR, FIRST-6
	push	R(bx)
	mov	$(FIRST-6)<<8, %bx
	mov	$0x12, %ah		# remote write
	call	remote
	mov	$FRAME, R(si)
	OUTS
	call	done
	pop	R(bx)
	put	CR, 0x26		# transmit
	await	ISR, 0x0a		# PTX or TXE
	put	ISR, 0x0a
	ret

fetch:	mov	$0x0a, %ah		# remote read: CX bytes at BX to DI
	call	remote
	INS
done:	await	ISR, 0x40		# RDC
	put	ISR, 0x40
	ret

remote:	add	$SIZE-1, R(cx)		# up to a whole number of transfers
	and	$-SIZE, R(cx)
	mov	$RBCR0, %dx
	mov	%cl, %al
	out	%al, %dx
	inc	%dx
	mov	%ch, %al
	out	%al, %dx
	mov	$RSAR0, %dx
	mov	%bl, %al
	out	%al, %dx
	inc	%dx
	mov	%bh, %al
	out	%al, %dx
	mov	$CR, %dx
	mov	%ah, %al
	out	%al, %dx
	shr	$SHIFT, R(cx)
	mov	$DATA, %dx
	ret
