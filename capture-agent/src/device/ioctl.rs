//! V4L2 ioctls that the `v4l` crate lacks, or in which it panics.
//!
//! The crate has no DV timings and no events, lists single-planar formats only, and unwraps a driver's texts as UTF-8.
//! The kernel may truncate the name of a USB device inside a character.
#![expect(
    unsafe_code,
    reason = "an ioctl takes an untyped pointer, and DV timings and events hold C unions; here each request \
              meets the one structure the kernel declares for it"
)]

use std::io;
use std::mem;
use std::os::raw::c_void;

use v4l::device::Handle;
use v4l::v4l_sys::{
    V4L2_DV_BT_656_1120, V4L2_EVENT_SOURCE_CHANGE, v4l2_bt_timings, v4l2_capability,
    v4l2_dv_timings, v4l2_event, v4l2_event_subscription, v4l2_fmtdesc,
};
use v4l::v4l2::vidioc;

const WRITE: vidioc::_IOC_TYPE = 1;
const READ: vidioc::_IOC_TYPE = 2;

/// `_IOR('V', 99, struct v4l2_dv_timings)`; linux/videodev2.h.
const VIDIOC_QUERY_DV_TIMINGS: vidioc::_IOC_TYPE = request::<v4l2_dv_timings>(READ, 99);
/// `_IOWR('V', 87, struct v4l2_dv_timings)`.
const VIDIOC_S_DV_TIMINGS: vidioc::_IOC_TYPE = request::<v4l2_dv_timings>(READ | WRITE, 87);

/// `_IOR('V', 89, struct v4l2_event)`.
const VIDIOC_DQEVENT: vidioc::_IOC_TYPE = request::<v4l2_event>(READ, 89);
/// `_IOW('V', 90, struct v4l2_event_subscription)`.
const VIDIOC_SUBSCRIBE_EVENT: vidioc::_IOC_TYPE = request::<v4l2_event_subscription>(WRITE, 90);

const fn request<T>(direction: vidioc::_IOC_TYPE, number: vidioc::_IOC_TYPE) -> vidioc::_IOC_TYPE {
    let size = size_of::<T>() as vidioc::_IOC_TYPE;
    (direction << 30) | (size << 16) | ((b'V' as vidioc::_IOC_TYPE) << 8) | number
}

/// Queries name and capabilities of a device.
///
/// Errors: `ENOTTY` if it is not a video device, `ENODEV` after an unplug.
pub(super) fn query_capability(handle: &Handle) -> io::Result<v4l2_capability> {
    // SAFETY: the structure consists of integers, for which zeroes are a value.
    let mut capability: v4l2_capability = unsafe { mem::zeroed() };
    // SAFETY: VIDIOC_QUERYCAP takes a `v4l2_capability`.
    unsafe { call(handle, vidioc::VIDIOC_QUERYCAP, &mut capability) }?;
    Ok(capability)
}

/// Queries the format with this index (from 0) of one buffer type.
///
/// Errors: `EINVAL` beyond the last format.
pub(super) fn enum_format(
    handle: &Handle,
    buffer_type: u32,
    index: u32,
) -> io::Result<v4l2_fmtdesc> {
    // SAFETY: the structure consists of integers, for which zeroes are a value.
    let mut format: v4l2_fmtdesc = unsafe { mem::zeroed() };
    format.index = index;
    format.type_ = buffer_type;
    // SAFETY: VIDIOC_ENUM_FMT takes a `v4l2_fmtdesc`.
    unsafe { call(handle, vidioc::VIDIOC_ENUM_FMT, &mut format) }?;
    Ok(format)
}

/// Queries the timings at the receiver's input. Changes nothing.
///
/// Errors: `ENOLINK`, `ENOLCK` and `ERANGE`, which [`super::timings`] converts to results; `ENOTTY` or `ENODATA` if the
/// device or its current input has no timings; `ENODEV` after an unplug.
pub(super) fn query_dv_timings(handle: &Handle) -> io::Result<v4l2_bt_timings> {
    // SAFETY: the structure consists of integers, for which zeroes are a value.
    let mut timings: v4l2_dv_timings = unsafe { mem::zeroed() };
    // SAFETY: VIDIOC_QUERY_DV_TIMINGS takes a `v4l2_dv_timings`.
    unsafe { call(handle, VIDIOC_QUERY_DV_TIMINGS, &mut timings) }?;
    if timings.type_ != V4L2_DV_BT_656_1120 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the driver answered with timings of an unknown type",
        ));
    }
    // SAFETY: the type selects this member; both members consist of plain integers.
    Ok(unsafe { timings.__bindgen_anon_1.bt })
}

/// Sets the receiver's capture timings to those at its input.
///
/// Errors: as for [`query_dv_timings`], and `EBUSY` while a program captures.
pub(super) fn follow_dv_timings(handle: &Handle) -> io::Result<()> {
    // SAFETY: the structure consists of integers, for which zeroes are a value.
    let mut timings: v4l2_dv_timings = unsafe { mem::zeroed() };
    // SAFETY: VIDIOC_QUERY_DV_TIMINGS takes a `v4l2_dv_timings`.
    unsafe { call(handle, VIDIOC_QUERY_DV_TIMINGS, &mut timings) }?;
    // SAFETY: VIDIOC_S_DV_TIMINGS takes a `v4l2_dv_timings`.
    unsafe { call(handle, VIDIOC_S_DV_TIMINGS, &mut timings) }
}

/// Subscribes to changes of the input signal.
///
/// Errors: `ENOTTY` or `EINVAL` if the driver does not report them.
pub(super) fn subscribe_source_change(handle: &Handle) -> io::Result<()> {
    // SAFETY: the structure consists of integers, for which zeroes are a value. The ID is the index of the input:
    // capture devices have one input in use.
    let mut subscription: v4l2_event_subscription = unsafe { mem::zeroed() };
    subscription.type_ = V4L2_EVENT_SOURCE_CHANGE;
    // SAFETY: VIDIOC_SUBSCRIBE_EVENT takes a `v4l2_event_subscription`.
    unsafe { call(handle, VIDIOC_SUBSCRIBE_EVENT, &mut subscription) }
}

/// Removes the oldest pending event and returns its type. Does not block: the device is opened non-blocking.
///
/// Errors: `ENOENT` if no event is pending; `ENODEV` after an unplug.
pub(super) fn dequeue_event(handle: &Handle) -> io::Result<u32> {
    // SAFETY: integers and a union of integers, for which zeroes are a value.
    let mut event: v4l2_event = unsafe { mem::zeroed() };
    // SAFETY: VIDIOC_DQEVENT takes a `v4l2_event`.
    unsafe { call(handle, VIDIOC_DQEVENT, &mut event) }?;
    Ok(event.type_)
}

/// Calls an ioctl; retries it after an interruption by a signal.
///
/// # Safety
///
/// The kernel must read and write at most a `T` for `request`.
unsafe fn call<T>(handle: &Handle, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
    let argument: *mut c_void = std::ptr::from_mut(argument).cast();
    loop {
        // SAFETY: the pointer is to a live `T`, which the caller matched to the request.
        match unsafe { v4l::v4l2::ioctl(handle.fd(), request, argument) } {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_numbers_match_kernel_headers() {
        assert_eq!(VIDIOC_QUERY_DV_TIMINGS, 0x8084_5663);
        assert_eq!(VIDIOC_S_DV_TIMINGS, 0xC084_5657);
        assert_eq!(VIDIOC_SUBSCRIBE_EVENT, 0x4020_565A);
        // The structure ends with a timestamp whose size depends on the architecture.
        #[cfg(target_pointer_width = "64")]
        assert_eq!(VIDIOC_DQEVENT, 0x8088_5659);
    }
}
