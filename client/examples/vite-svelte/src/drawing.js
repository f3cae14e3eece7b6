// Draws a picture to record, until the returned function is called.
export function draw(canvas) {
  const context = canvas.getContext('2d', { alpha: false });
  let frame;
  const next = (now) => {
    context.fillStyle = `hsl(${now / 20} 60% 45%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = 'white';
    context.font = '64px sans-serif';
    context.fillText(`${(now / 1000).toFixed(2)} s`, 200 + 100 * Math.sin(now / 500), 260);
    frame = requestAnimationFrame(next);
  };
  frame = requestAnimationFrame(next);
  return () => cancelAnimationFrame(frame);
}
